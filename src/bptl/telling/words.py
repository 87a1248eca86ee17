"""What messages say: in the language of the settings, without variables, without ids of cases, with a link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import formats, timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bptl.telling.models import Incident, Kind, Message

LONGEST_SUBJECT = 150


@dataclass(frozen=True, slots=True)
class Told:
    """One message: for mail its subject and text, for a webhook the payload (JSON)."""

    subject: str
    text: str
    payload: dict[str, Any] = field(default_factory=dict)


def link(path: str) -> str:
    """The address of a page; empty when nobody said where the pages are."""
    return f"{settings.BPTL_PAGES_URL.rstrip('/')}/{path.lstrip('/')}" if settings.BPTL_PAGES_URL else ""


def of_incident(incident: Incident, why: Message.Why) -> Told:
    """What is told of an incident that begins, goes on, or is over."""
    with translation.override(settings.BPTL_INCIDENT_LANGUAGE):
        what, to_do = _what(incident)
        address = link(f"incidents/{incident.pk}/")
        lines = [what]
        if incident.cause:
            lines.append(incident.cause)
        lines.append(_state(incident, why))
        if why != Message.Why.OVER:
            lines.append(to_do)
        if address:
            lines.append(address)
        prefix = {Message.Why.OVER: _("over: "), Message.Why.GOES_ON: _("goes on: ")}.get(why, "")
        return Told(_subject(prefix + what), "\n\n".join(lines) + "\n", _payload(incident, why, address))


def of_digest(rows: Sequence[tuple[Incident, int]], *, began: datetime, ended: datetime) -> Told:
    """One mail about all that happened in a period: incidents with their occurrences in it."""
    with translation.override(settings.BPTL_INCIDENT_LANGUAGE):
        number = len(rows)
        subject = ngettext("%(number)d incident since %(time)s", "%(number)d incidents since %(time)s", number)
        blocks = [
            _("From %(began)s until %(ended)s:") % {"began": _moment(began), "ended": _moment(ended)},
            *(_block(incident, count) for incident, count in rows),
        ]
        if address := link("incidents/"):
            blocks.append(_("All incidents: %(address)s") % {"address": address})
        title = _subject(subject % {"number": number, "time": _moment(began)})
        return Told(title, "\n\n".join(blocks) + "\n")


def of_test(by: str) -> Told:
    """What somebody sends to see whether messages arrive."""
    with translation.override(settings.BPTL_INCIDENT_LANGUAGE):
        text = _("%(name)s tries whether messages about incidents arrive here. They do.") % {"name": by}
        address = link("incidents/")
        payload = {"event": "test", "url": address, "at": timezone.now().isoformat()}
        return Told(_subject(_("a test")), f"{text}\n\n{address}\n" if address else f"{text}\n", payload)


def _subject(text: str) -> str:
    # A line break would be a second header.
    whole = " ".join(f"BPTL: {text}".split())
    return whole if len(whole) <= LONGEST_SUBJECT else whole[: LONGEST_SUBJECT - 1] + "…"


def _block(incident: Incident, count: int) -> str:
    what, _to_do = _what(incident)
    lines = [what]
    if incident.cause:
        lines.append(incident.cause)
    if incident.of_tasks:
        lines.append(ngettext("%(number)d task", "%(number)d tasks", count) % {"number": count})
    if incident.ended_at:
        lines.append(_("over since %(time)s") % {"time": _moment(incident.ended_at)})
    else:
        lines.append(_("open since %(time)s") % {"time": _moment(incident.began_at)})
    if incident.muted_until and incident.muted_until > timezone.now():
        lines.append(_("muted until %(time)s") % {"time": _moment(incident.muted_until)})
    if address := link(f"incidents/{incident.pk}/"):
        lines.append(address)
    return "\n  ".join(["- " + lines[0], *lines[1:]])


def _what(incident: Incident) -> tuple[str, str]:
    """What happens, and what to do about it."""
    told = {
        "topic": incident.topic,
        "engine": incident.engine.name if incident.engine else "–",
        "service": incident.service.name if incident.service else "–",
    }
    match incident.kind:
        case Kind.FAILED:
            return (
                _("tasks of %(topic)s failed, no retries are left") % told,
                _("Take away the cause, then retry them on their pages."),
            )
        case Kind.REFUSED:
            return (
                _("the engine refuses results of %(topic)s") % told,
                _("Mend the model or its variables, then deliver them again."),
            )
        case Kind.UNCERTAIN:
            return (
                _("nobody knows whether an effect of %(topic)s happened") % told,
                _("Look in the service whether the effect is there, then say so on the page of the task."),
            )
        case Kind.MAPPING:
            return (
                _("the mapping of %(topic)s is broken, nothing is fetched for it") % told,
                _("Mend the mapping, or install what it needs."),
            )
        case Kind.ENGINE:
            return (
                _("engine %(engine)s is not reached") % told,
                _("Look whether it runs, and whether address, login and network are right: bptl engines test."),
            )
        case Kind.SERVICE:
            return (
                _("service %(service)s is down, nothing is fetched that needs it") % told,
                _("Look whether it runs. It is probed all the time: once it answers, its tasks are fetched again."),
            )
        case Kind.WORKERS:
            return _("no worker lives, nothing is done"), _("Start one with bptl work.")
        case _:
            return _("no long-polling worker lives, nothing is fetched"), _("Start one with bptl poll.")


def _state(incident: Incident, why: Message.Why) -> str:
    told = {"number": incident.count, "since": _moment(incident.began_at)}
    if why == Message.Why.OVER:
        ended = {**told, "until": _moment(incident.ended_at or timezone.now())}
        if incident.of_tasks:
            return (
                ngettext(
                    "It is over: %(number)d task, from %(since)s until %(until)s.",
                    "It is over: %(number)d tasks, from %(since)s until %(until)s.",
                    incident.count,
                )
                % ended
            )
        return _("It is over: from %(since)s until %(until)s.") % ended
    if incident.of_tasks:
        return ngettext("%(number)d task since %(since)s.", "%(number)d tasks since %(since)s.", incident.count) % told
    return _("Since %(since)s.") % told


def _moment(at: datetime) -> str:
    return formats.date_format(timezone.localtime(at), "j M H:i")


def _payload(incident: Incident, why: Message.Why, address: str) -> dict[str, Any]:
    mapping = incident.mapping
    return {
        "event": f"incident.{why}",
        "incident": incident.pk,
        "kind": incident.kind,
        "engine": incident.engine.name if incident.engine else None,
        "service": incident.service.name if incident.service else None,
        "topic": incident.topic or None,
        "mapping": mapping.pk if mapping else None,
        "unit": mapping.unit if mapping else None,
        "error_group": incident.error_group or None,
        "cause": incident.cause or None,
        "count": incident.count,
        "began_at": incident.began_at.isoformat(),
        "last_at": incident.last_at.isoformat(),
        "ended_at": incident.ended_at.isoformat() if incident.ended_at else None,
        "url": address or None,
    }
