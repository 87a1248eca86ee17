"""What ``bptl doctor`` checks, part by part. Nothing here changes anything, anywhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from bptl.accounts import people
from bptl.cli import stories
from bptl.connections import access, breakers, engines, mappings, service_check
from bptl.connections.findings import Finding, Mark
from bptl.connections.models import AT_WORK, Engine, Mapping
from bptl.connections.service_models import Application, Service
from bptl.engines.base import EngineError
from bptl.tasks import queries
from bptl.tasks.lifecycle import Status
from bptl.tasks.models import Process
from bptl.web.health import migrated
from bptl.work_units import registry
from bptl.workers import broker

FETCHED_WITHIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Checked:
    """A finding and what it is about, for instance ``engine main``."""

    about: str
    finding: Finding


def everything() -> Iterator[Checked]:
    """All checks, in the order in which a newcomer would mend things; what cannot be asked is left out and said."""
    yield from _about("work units", _units())
    yield from _about("broker", _broker())
    database = list(_database())
    yield from _about("database", database)
    if any(finding.mark is Mark.BAD for finding in database):
        return
    alive = queries.fleet()
    yield from _about("people", _people())
    yield from _about("processes", _processes(alive))
    yield from _about("tasks", _tasks(alive))
    for service in Service.objects.filter(active=True).order_by("name"):
        yield from _about(f"service {service.name}", [*_breaker(service), *service_check.check(service)])
    yield from _about("applications", list(_applications()))
    called = list(Mapping.objects.filter(AT_WORK, engine=None).order_by("topic"))
    yield from _about("REST API", [finding for mapping in called for finding in _mapping(mapping)])
    rows = list(Engine.objects.order_by("name"))
    if not rows and not called:
        yield Checked("engines", Finding(Mark.BAD, "there is none; add one with: bptl engines add --help"))
    for engine in rows:
        yield from _about(f"engine {engine.name}", [*_breaker(engine), *_engine(engine, pollers=alive.pollers)])


def _about(what: str, findings: Iterator[Finding] | list[Finding]) -> Iterator[Checked]:
    return (Checked(what, finding) for finding in findings)


def _breaker(subject: breakers.Subject) -> Iterator[Finding]:
    opening = breakers.opening(subject)
    if opening is None:
        return
    kind = "service" if isinstance(subject, Service) else "engine"
    since = f"{timezone.localtime(opening.opened_at):%Y-%m-%d %H:%M}"
    what = f"in maintenance since {since}, says {opening.opened_by}" if opening.by_hand else f"down since {since}"
    yield Finding(
        Mark.DOUBT,
        f"{what}: {opening.reason}. Nothing is fetched that needs it until it answers again, or somebody says: "
        f"bptl breakers close --{kind} {subject.name}",
    )


def _units() -> Iterator[Finding]:
    units = registry.load()
    for fault in units.faults:
        yield Finding(
            Mark.BAD, f"those of {fault.entry_point} could not be loaded: {fault.error}; mend or remove their package"
        )
    yield Finding(Mark.GOOD, f"{len(units)} are registered")


def _broker() -> Iterator[Finding]:
    try:
        address = broker.ping()
    except broker.BrokerAway as error:
        yield Finding(
            Mark.BAD,
            f"{error}. Without it nobody is told of work; start it, or correct CELERY_BROKER_URL",
        )
    else:
        yield Finding(Mark.GOOD, f"{address} answers")


def _database() -> Iterator[Finding]:
    database = connection.settings_dict
    where = f"{database['NAME']} of {database['USER']} at {database['HOST']}:{database['PORT']}"
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            version = cursor.fetchone()[0]
        complete = migrated()
    except DatabaseError as error:
        # Django itself refuses a PostgreSQL that is too old for it, in this sentence.
        reason = " ".join(str(error).split())
        yield Finding(
            Mark.BAD, f"{where}: {reason}. Start PostgreSQL 14 or newer, or correct the DB_* settings; "
            "engines, mappings, processes and tasks were not checked"
        )  # fmt: skip
        return
    yield Finding(Mark.GOOD, f"{where} answers: PostgreSQL {version}")
    if complete:
        yield Finding(Mark.GOOD, "all migrations are applied")
    else:
        yield Finding(
            Mark.BAD,
            "migrations are missing; run: bptl manage migrate. Engines, mappings, processes and tasks were not checked",
        )


def _people() -> Iterator[Finding]:
    found = people.administrators().count()
    if found:
        yield Finding(Mark.GOOD, f"active administrators: {found}")
    else:
        yield Finding(Mark.DOUBT, "nobody can administer BPTL; run: bptl people invite NAME --role administrator")


def _processes(alive: queries.Fleet) -> Iterator[Finding]:
    needed = (
        (alive.beats, "beat", "nobody starts polls again and nobody sweeps; start: bptl beat"),
        (alive.pollers, "long-polling worker", "nothing is fetched; start: bptl poll"),
        (alive.workers, "worker", "no unit is run; start: bptl work"),
    )
    for processes, kind, without in needed:
        if processes:
            names = ", ".join(f"{process.host}:{process.pid}" for process in processes)
            places = f", {alive.places} places in all" if processes is alive.workers else ""
            plural = "s" if len(processes) > 1 else ""
            yield Finding(Mark.GOOD, f"{len(processes)} {kind}{plural} alive{places}: {names}")
        else:
            yield Finding(Mark.BAD, f"no {kind} is alive: {without}")
    if len(alive.beats) > 1:
        yield Finding(Mark.DOUBT, "more than one beat is alive: harmless, but one is enough")


def _tasks(alive: queries.Fleet) -> Iterator[Finding]:
    amounts: defaultdict[str, queries.Amount] = defaultdict(lambda: queries.Amount(0))
    for (status, _), amount in queries.counts().items():
        amounts[status] += amount
    told = ", ".join(f"{stories.amount(amount)} {status}" for status, amount in sorted(amounts.items()))
    queued, uncertain = (stories.amount(amounts[status]) for status in (Status.QUEUED, Status.UNCERTAIN))
    if amounts[Status.QUEUED].number and not alive.places:
        yield Finding(Mark.BAD, f"{queued} are queued and no worker has a place for them; start: bptl work")
    if amounts[Status.UNCERTAIN].number:
        yield Finding(Mark.BAD, f"{uncertain} wait for a person's decision; see: bptl tasks list --status uncertain")
    yield Finding(Mark.GOOD, told or "none on record")


def _applications() -> Iterator[Finding]:
    rows = list(Application.objects.filter(active=True).prefetch_related("grants__service"))
    for application in rows:
        if not application.units:
            yield Finding(
                Mark.DOUBT, f"{application.label} may run no unit; grant some: bptl applications set --unit zgw.* …"
            )
        for grant in application.grants.all():
            if not grant.service.active:
                yield Finding(Mark.DOUBT, f"{application.label} has a right to {grant.service}, which is not active")
            elif grant.as_service and not grant.service.has_credentials:
                yield Finding(
                    Mark.BAD,
                    f"{application.label} uses the credentials of {grant.service}, which has none; enter them there, "
                    "or give it its own: bptl applications grant",
                )
    yield Finding(Mark.GOOD, f"{len(rows)} are known and active" if rows else "none is known")


def _engine(engine: Engine, *, pollers: Sequence[Process]) -> Iterator[Finding]:
    if not engine.active:
        yield Finding(Mark.GOOD, "is inactive, so it is not polled")
        return
    found = access.check(engine)
    yield from found.findings
    active = list(Mapping.objects.filter(AT_WORK, engine=engine).order_by("topic", "id"))
    for mapping in active:
        yield from _mapping(mapping)
        if found.version:
            yield from _unit_rights(engine, mapping)
    if not active:
        yield Finding(
            Mark.BAD, f"has no active mapping, so nothing is fetched; add one: bptl mappings add --engine {engine.name}"
        )
    if not found.version:
        return
    yield from _topics(engine, mapped={mapping.topic for mapping in active})
    if active and pollers:
        # Both times are PostgreSQL's: its clock and ours need not agree.
        since = max(poller.heartbeat_at - poller.started_at for poller in pollers)
        yield _fetches(engine, since=since)


def _mapping(mapping: Mapping) -> Iterator[Finding]:
    name = f"mapping {mapping.pk} (topic {mapping.topic})"
    faults = mappings.problems(mapping)
    for fault in faults:
        yield Finding(Mark.BAD, f"{name} is not used: {fault}; correct or pause it: bptl mappings pause {mapping.pk}")
    if not faults:
        yield Finding(Mark.GOOD, f"{name} is done by {mapping.unit}")
    unit = mappings.unit(mapping)
    if unit is not None and unit.may_wait and not settings.BPTL_PAGES_URL:
        yield Finding(Mark.BAD, f"{name} cannot wait for an answer: set BPTL_PAGES_URL to where BPTL is reached")


def _unit_rights(engine: Engine, mapping: Mapping) -> Iterator[Finding]:
    unit = mappings.unit(mapping)
    if unit is None or not unit.rights:
        return
    needs = f"mapping {mapping.pk} (topic {mapping.topic}): unit {unit.name} needs rights beyond fetching"
    known = {text: right for text in unit.rights if (right := access.right(text)) is not None}
    try:
        lacking = access.missing(engines.client(engine), known.values())
    except EngineError as error:
        yield Finding(Mark.DOUBT, f"{needs}, which could not be asked ({error.message}): {'; '.join(unit.rights)}")
        return
    absent = [text for text, right in known.items() if right in lacking]
    unasked = [text for text in unit.rights if text not in known]
    if absent:
        yield Finding(Mark.DOUBT, f"{needs}, and our user lacks, for every process: {'; '.join(absent)}")
    if unasked:
        yield Finding(Mark.DOUBT, f"{needs}, which cannot be asked for: {'; '.join(unasked)}")
    if not absent and not unasked:
        yield Finding(Mark.GOOD, f"{needs}, and our user has them: {'; '.join(unit.rights)}")


def _topics(engine: Engine, *, mapped: set[str]) -> Iterator[Finding]:
    try:
        waiting = engines.client(engine).topic_names(unlocked=True)
    except EngineError as error:
        yield Finding(Mark.DOUBT, f"waiting topics could not be asked: {error.message}")
        return
    unmapped = sorted(set(waiting) - mapped)
    if unmapped:
        yield Finding(
            Mark.DOUBT,
            f"tasks wait there whose topics have no active mapping here: {', '.join(unmapped)}; "
            "add mappings, unless another worker does them",
        )


def _fetches(engine: Engine, *, since: timedelta) -> Finding:
    """``since``: how long the oldest long-polling worker has been alive."""
    if queries.last_fetch(engine.pk, within=FETCHED_WITHIN) is None:
        if since < FETCHED_WITHIN:
            return Finding(Mark.DOUBT, "is not being polled yet: the long-polling worker started just now")
        minutes = FETCHED_WITHIN // timedelta(minutes=1)
        return Finding(
            Mark.BAD,
            f"no fetch was sent in the last {minutes} minutes although a long-polling worker lives: "
            "either no place is free, or its log says why",
        )
    newest = queries.newest_task(engine.pk)
    if newest is None:
        return Finding(Mark.DOUBT, "is being polled, but has never given us a task")
    ago = timedelta(seconds=int((timezone.now() - newest.recorded_at).total_seconds()))
    return Finding(Mark.GOOD, f"is being polled; its newest task came {ago} ago")
