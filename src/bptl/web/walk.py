"""The walk of a task as a list of moves with their times, for the page of one task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bptl.tasks.models import Completion, Event, Lease
from bptl.tasks.queries import TaskStory
from bptl.web.durations import duration
from bptl.web.words import EVENTS, LEASE_ENDS, OUTCOMES, Word


@dataclass(frozen=True, slots=True)
class Step:
    """One move; ``after`` is the time since the move before it, by PostgreSQL's clock."""

    at: datetime
    label: str | Promise
    tone: str = "neutral"
    notes: Sequence[str] = field(default_factory=list)
    after: timedelta | None = None


def steps(story: TaskStory) -> list[Step]:
    """All moves of a task, oldest first. The engine's own time comes first and is compared with nothing."""
    found = [step for lease in story.leases for step in _of_lease(lease, story)]
    found += [_of_event(event) for event in story.events]
    found += [step for completion in story.completions for step in _of_completion(completion)]
    found.sort(key=lambda step: step.at)
    timed = [
        Step(step.at, step.label, step.tone, step.notes, step.at - before.at if before else None)
        for before, step in zip([None, *found], found, strict=False)
    ]
    if created := story.task.created_at:
        return [Step(created, _("created by the process"), notes=[_("by the engine's clock")]), *timed]
    return timed


def _of_lease(lease: Lease, story: TaskStory) -> Iterator[Step]:
    many = len(story.leases) > 1
    attempt = [_("attempt %(number)d") % {"number": lease.number}] if many else []
    locked = _("locked for %(time)s") % {"time": duration(lease.lock_ms / 1000)}
    yield Step(lease.recorded_at, _("fetched"), notes=[", ".join([*attempt, locked])])
    if lease.claimed_at:
        yield Step(lease.claimed_at, _("started"), "active", attempt)
    if lease.performed_at:
        word = OUTCOMES.get(lease.outcome)
        yield Step(
            lease.performed_at, word.label if word else lease.outcome, word.tone if word else "neutral", _error(lease)
        )
    if lease.ended_at:
        end = LEASE_ENDS[lease.ended_as]
        extended = ngettext("lock extended %(count)d time", "lock extended %(count)d times", lease.extensions)
        yield Step(
            lease.ended_at, end.label, end.tone, [extended % {"count": lease.extensions}] if lease.extensions else []
        )


def _of_completion(completion: Completion) -> Iterator[Step]:
    number = [_("address %(number)d") % {"number": completion.number}] if completion.number > 1 else []
    asked = _("asked at %(time)s by %(unit)s") % {"time": _moment(completion.asked_at), "unit": completion.unit}
    if completion.awaited_at:
        label = _("waits for an answer until %(time)s") % {"time": _moment(completion.deadline)}
        yield Step(completion.awaited_at, label, "warning", [asked, *number])
    if completion.answered_at:
        by = [_("by %(name)s") % {"name": completion.answered_by}] if completion.answered_by else []
        early = [_("before the unit waited for it")] if completion.state == Completion.State.ANSWERED else []
        yield Step(completion.answered_at, _("answered"), "active", [*by, *early, *number])
    if completion.state == Completion.State.EXPIRED:
        yield Step(completion.deadline, _("no answer came in time"), "warning", number)


def _moment(at: datetime) -> str:
    return date_format(timezone.localtime(at), "DATETIME_FORMAT")


def _error(lease: Lease) -> list[str]:
    if not lease.error:
        return []
    notes = [": ".join(str(part) for part in (lease.error.get("code"), lease.error.get("message")) if part)]
    retries = lease.error.get("retries")
    if retries == 0:
        notes.append(_("no retries left"))
    elif retries is not None:
        wait = duration(lease.error.get("wait_ms", 0) / 1000)
        left = ngettext("%(count)d retry left", "%(count)d retries left", retries) % {"count": retries}
        notes.append(left + ", " + _("the next after %(time)s") % {"time": wait})
    return notes


def _of_event(event: Event) -> Step:
    notes = [_("by %(name)s") % {"name": event.actor}] if event.actor else []
    notes += [f"{name}: {value}" for name, value in event.detail.items()]
    word = EVENTS.get(event.name) or Word(event.name, "active" if event.actor else "warning")
    return Step(event.at, word.label, word.tone, notes)
