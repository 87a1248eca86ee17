"""The second factor: a code of an app (TOTP), and recovery codes for who lost the app. Kept by django-otp.

Only for who logs in with a password here: whoever comes by the identity provider has shown what that one asks for.
"""

from __future__ import annotations

from enum import StrEnum

from django.conf import settings
from django.db import transaction
from django_otp import devices_for_user, match_token
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from bptl.accounts import audit
from bptl.accounts.models import User
from bptl.accounts.roles import Role

RECOVERY_CODES = 10


class Asked(StrEnum):
    """Whom a second factor is asked of (BPTL_SECOND_FACTOR)."""

    OPTIONAL = "optional"
    ADMINISTRATORS = "administrators"
    EVERYBODY = "everybody"


class Due(StrEnum):
    """What somebody with a right password must do next."""

    CODE = "code"
    ENROL = "enrol"


def due(user: User, *, verified: bool) -> Due | None:
    """What is missing in a session that began with a password; ``verified`` says that its code was right."""
    if verified:
        return None
    if enrolled(user):
        return Due.CODE
    return Due.ENROL if required(user) else None


def required(user: User) -> bool:
    """Whether this installation wants a second factor of them."""
    asked = settings.BPTL_SECOND_FACTOR
    return asked == Asked.EVERYBODY or (asked == Asked.ADMINISTRATORS and user.role is Role.ADMINISTRATOR)


def enrolled(user: User) -> bool:
    """Whether they have one."""
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


def offered(user: User) -> TOTPDevice:
    """The app that they are about to add: the same one until it is confirmed."""
    device, _made = TOTPDevice.objects.get_or_create(user=user, confirmed=False, defaults={"name": "app"})
    return device


@transaction.atomic
def confirm(user: User, code: str, *, by: audit.By) -> tuple[TOTPDevice, list[str]] | None:
    """Take the offered app when its code is right: the app, and the recovery codes, which are shown once."""
    device = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=False).first()
    if device is None or not device.verify_token(code):
        return None
    TOTPDevice.objects.filter(user=user, confirmed=True).delete()
    device.confirmed = True
    device.save(update_fields=["confirmed"])
    StaticDevice.objects.filter(user=user).delete()
    kept = StaticDevice.objects.create(user=user, name="recovery")
    codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=kept, token=code) for code in codes)
    audit.record("second_factor.added", by=by, about=user)
    return device, codes


def verify(user: User, code: str, *, by: audit.By) -> object | None:
    """The device whose code this is; None when it is none, or was tried too fast: django-otp makes guessers wait."""
    device = match_token(user, code.replace(" ", "").lower())
    if device is None:
        audit.record("second_factor.refused", by=by, about=user)
        return None
    if isinstance(device, StaticDevice):
        audit.record("second_factor.recovery_code_used", by=by, about=user, detail={"left": device.token_set.count()})
    found: object = device
    return found


@transaction.atomic
def remove(user: User, *, by: audit.By, reason: str = "") -> None:
    """Forget app and codes: for who lost both, by an administrator, or by themselves."""
    for device in devices_for_user(user, confirmed=None):
        device.delete()
    audit.record("second_factor.removed", by=by, about=user, reason=reason)
