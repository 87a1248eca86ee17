"""What a token allows, beside who its user is."""

from __future__ import annotations

from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from bptl.accounts.roles import Role


class Scope(StrEnum):
    """One thing that machines do with the REST API."""

    CALL = "work-unit:call"
    READ_TASKS = "tasks:read"
    ACT_ON_TASKS = "tasks:act"
    MONITOR = "monitoring:read"

    @property
    def label(self) -> str | Promise:
        """For people."""
        return _LABELS[self]

    @property
    def meaning(self) -> str | Promise:
        """What it allows, in one sentence."""
        return _MEANINGS[self]

    @property
    def role(self) -> Role | None:
        """The role that the token's user must have too: a token never does what its user may not. None: any user, as
        the user of a machine that calls work units needs no page.
        """
        return _ROLES[self]


_LABELS = {
    Scope.CALL: _("call work units"),
    Scope.READ_TASKS: _("read tasks"),
    Scope.ACT_ON_TASKS: _("act on tasks"),
    Scope.MONITOR: _("watch BPTL"),
}
_MEANINGS = {
    Scope.CALL: _("Ask for work through the REST API, and read its answer."),
    Scope.READ_TASKS: _("Read where tasks are, and why."),
    Scope.ACT_ON_TASKS: _("Retry, complete and settle tasks, in the name of its user."),
    Scope.MONITOR: _("Read metrics and the health of all parts: numbers, no tasks."),
}
_ROLES = {
    Scope.CALL: None,
    Scope.READ_TASKS: Role.VIEWER,
    Scope.ACT_ON_TASKS: Role.OPERATOR,
    Scope.MONITOR: Role.VIEWER,
}
