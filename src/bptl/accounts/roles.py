"""What somebody may do: one of three roles, each with all that the one before it may.

A role is a group of Django with a fixed name, so that an identity provider can name it too. A superuser is an
administrator, whatever groups they have: `bptl manage createsuperuser` always lets somebody in.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Role(StrEnum):
    """From least to most; the value is the name of the group."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    @property
    def label(self) -> str | Promise:
        """For people."""
        return _LABELS[self]

    @property
    def meaning(self) -> str | Promise:
        """What it allows, in one sentence."""
        return _MEANINGS[self]

    def includes(self, other: Role) -> bool:
        """Whether who has this role may do what needs ``other``."""
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER = list(Role)
_LABELS = {
    Role.VIEWER: _("viewer"),
    Role.OPERATOR: _("operator"),
    Role.ADMINISTRATOR: _("administrator"),
}
_MEANINGS = {
    Role.VIEWER: _("Sees where tasks are and why; of variables and calls only names and types."),
    Role.OPERATOR: _("Also reads variables and calls, acts on tasks, and pauses mappings."),
    Role.ADMINISTRATOR: _("Also sets up engines, services, applications, mappings, mail templates and people."),
}


def highest(names: Iterable[str]) -> Role | None:
    """The highest role among names of groups; names that are no role count for nothing."""
    found = set(names)
    return next((role for role in reversed(_ORDER) if role in found), None)
