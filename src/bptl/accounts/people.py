"""People and their roles: one domain call for each thing that an administrator does to somebody."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q, QuerySet

from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.lib.log import get_logger

log = get_logger(__name__)


class LastAdministrator(Exception):
    """Refused: without this person nobody could administer BPTL."""

    def __init__(self, username: str) -> None:
        self.username = username
        super().__init__(f"{username!r} is the last active administrator")


def administrators() -> QuerySet[User]:
    """Everybody who may administer BPTL now."""
    return (
        User.objects.filter(Q(is_superuser=True) | Q(groups__name=Role.ADMINISTRATOR), is_active=True)
        .distinct()
        .order_by("id")
    )


@transaction.atomic
def set_role(user: User, role: Role | None) -> None:
    """Give ``user`` this role and no other; raises LastAdministrator."""
    if role is not Role.ADMINISTRATOR:
        _keep_one_beside(user)
    if user.is_superuser and role is not Role.ADMINISTRATOR:
        user.is_superuser = False
        user.save(update_fields=["is_superuser"])
    user.groups.remove(*Group.objects.filter(name__in=list(Role)))
    if role is not None:
        user.groups.add(Group.objects.get_or_create(name=role.value)[0])
    user.__dict__.pop("role", None)
    log.info("role.set", username=user.username, role=role or "")


@transaction.atomic
def set_active(user: User, active: bool) -> None:
    """Let ``user`` in, or keep them out with all their tokens; raises LastAdministrator."""
    if not active:
        _keep_one_beside(user)
    user.is_active = active
    user.save(update_fields=["is_active"])
    log.info("user.activated" if active else "user.deactivated", username=user.username)


def _keep_one_beside(user: User) -> None:
    """Two who demote each other at once wait here for each other."""
    found = list(
        User.objects.select_for_update().filter(pk__in=administrators().order_by().values("pk")).order_by("pk")
    )
    if user in found and len(found) == 1:
        raise LastAdministrator(user.username)
