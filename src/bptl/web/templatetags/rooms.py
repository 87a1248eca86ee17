"""Tags and filters of the pages: badges, times, durations, navigation."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from django import template
from django.contrib.auth.models import AnonymousUser
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.tasks.models import Task
from bptl.tasks.queries import Amount
from bptl.web.durations import duration
from bptl.web.words import LEASE_ENDS, OUTCOMES, PROCESS_KINDS, STATUSES, Word

register = template.Library()

# The library has no class for what is under way; all others are its own.
_CLASSES = {"active": "bptl-badge--active"}


@register.simple_tag
def status_badge(task: Task) -> SafeString:
    """Where a task is, as a badge."""
    return _badge(STATUSES[task.status])


@register.simple_tag
def outcome_badge(outcome: str) -> SafeString | str:
    """How work ended, as a badge; empty while there is no outcome."""
    return _badge(OUTCOMES[outcome]) if outcome else ""


@register.simple_tag
def badge(word: Word) -> SafeString:
    """A word with its colour and meaning."""
    return _badge(word)


@register.filter
def lease_end(ended_as: str) -> str:
    """Why a lease ended, in words."""
    return str(LEASE_ENDS[ended_as].label) if ended_as else ""


@register.filter
def process_kind(kind: str) -> str:
    """What a process of ours does, in words."""
    return str(PROCESS_KINDS.get(kind, kind))


register.filter("duration", duration)


@register.filter
def may(user: User | AnonymousUser, role: str) -> bool:
    """Whether somebody has this role or a higher one: ``{% if user|may:"operator" %}``."""
    return isinstance(user, User) and user.may(Role(role))


@register.simple_tag
def amount(value: Amount) -> str:
    """A number of tasks; an estimate says that it is one."""
    number = formats.number_format(value.rounded, force_grouping=True)
    return gettext("about %(number)s") % {"number": number} if value.about else number


@register.simple_tag
def age(at: datetime | None) -> SafeString | str:
    """How long ago something was, with the exact time for whoever points at it."""
    if at is None:
        return ""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), _exact(at), duration(timezone.now() - at)
    )


@register.simple_tag
def moment(at: datetime | None, *, date: bool = True) -> SafeString | str:
    """A time of day to the millisecond, with its date unless ``date`` is False."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    text = f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"
    shown = f"{formats.date_format(local, 'j M Y')} {text}" if date else text
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), _exact(at), shown)


@register.simple_tag(takes_context=True)
def current(context: dict[str, Any], *names: str) -> str:
    """``page`` when the shown page is one of these names (``task-*``: all that begin so): the value of aria-current."""
    match = getattr(context.get("request"), "resolver_match", None)
    return "page" if match and any(fnmatchcase(match.view_name or "", name) for name in names) else "false"


def _badge(word: Word) -> SafeString:
    css = _CLASSES.get(word.tone, f"utrecht-status-badge--{word.tone}")
    return format_html('<span class="utrecht-status-badge {}" title="{}">{}</span>', css, word.meaning, word.label)


def _exact(at: datetime) -> str:
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S %Z")
