"""Links by which somebody chooses a password: an invitation, a forgotten password, the first administrator.

The link is Django's for a forgotten password: it works once and ends after BPTL_INVITATION_HOURS. BPTL mails no links;
whoever made it hands it over.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from bptl.accounts import audit, people
from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.lib.log import get_logger

log = get_logger(__name__)


@transaction.atomic
def invite(username: str, *, role: Role | None, email: str = "", full_name: str = "", by: audit.By) -> User:
    """Make a user without a password; raises ValidationError for a name that is taken or unfit."""
    first, _blank, last = full_name.strip().partition(" ")
    user = User(username=username, email=email, first_name=first, last_name=last)
    user.set_unusable_password()
    user.full_clean(exclude=["password"])
    user.save()
    audit.record("user.invited", by=by, about=user)
    if role is not None:
        people.set_role(user, role, by=by)
    return user


def path(user: User) -> str:
    """The path of a link that lets ``user`` choose a password, once."""
    key = urlsafe_base64_encode(force_bytes(user.pk))
    return reverse("welcome", kwargs={"uidb64": key, "token": default_token_generator.make_token(user)})


def note_link(user: User, *, by: audit.By) -> None:
    """Say in the audit log that somebody got such a link for ``user``."""
    audit.record("user.link_made", by=by, about=user)


def make_first_administrator() -> User | None:
    """Make BPTL_ADMIN_USERNAME an administrator with BPTL_ADMIN_PASSWORD, only while there is no active one at all."""
    username, password = settings.BPTL_ADMIN_USERNAME, settings.BPTL_ADMIN_PASSWORD
    if not username or not password:
        return None
    with transaction.atomic():
        # Web processes that start at once must not both make one.
        people.one_at_a_time()
        if people.administrators().exists():
            return None
        user = User.objects.filter(username=username).first() or User(username=username)
        user.is_active = True
        user.set_password(password)
        user.full_clean(exclude=["password"])
        user.save()
        by = audit.By("BPTL_ADMIN_USERNAME")
        people.set_role(user, Role.ADMINISTRATOR, by=by)
    log.info("administrator.made", username=username)
    return user
