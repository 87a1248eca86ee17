"""Rows of the heart: a task per external task and engine, a lease per lock, an event for what is off the happy path.

Rows move only in the guarded statements of intake, execution, delivery, upkeep and actions. What must never be is
refused by the database: check constraints from the lifecycle, one live lease per task.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _

from bptl.connections.models import WITHOUT_ENGINE, Engine, Mapping
from bptl.connections.service_models import Service
from bptl.lib.ids import time_ordered_id
from bptl.tasks.lifecycle import LeaseEnd, Outcome, Status, outcomes_of
from bptl.tasks.outside_models import Callback as Callback  # noqa: PLC0414 - Django finds models here
from bptl.tasks.outside_models import Completion as Completion  # noqa: PLC0414 - Django finds models here
from bptl.tasks.outside_models import ServiceCall as ServiceCall  # noqa: PLC0414 - Django finds models here

DEAD_AFTER = timedelta(seconds=15)
"""A process without a heartbeat for this long is dead."""


class ProcessKind(models.TextChoices):
    """What an operating-system process of ours does."""

    POLL = "poll", _("long-polling worker")
    WORK = "work", _("worker")
    BEAT = "beat", _("beat")


class Process(models.Model):
    """A process of ours and its heartbeat, by PostgreSQL's clock (every 5 s, dead after 15 s)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(_("kind"), max_length=4, choices=ProcessKind.choices)
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process number"))
    places = models.PositiveIntegerField(_("places"), default=0)
    draining = models.BooleanField(_("draining"), default=False)
    started_at = models.DateTimeField(_("started at"), db_default=Now())
    heartbeat_at = models.DateTimeField(_("heartbeat at"), db_default=Now())
    steady_since = models.DateTimeField(_("heartbeat without a gap since"), db_default=Now())
    stopped_at = models.DateTimeField(_("stopped at"), null=True)
    died = models.BooleanField(_("died"), default=False)

    class Meta:
        verbose_name = _("process")
        verbose_name_plural = _("processes")
        indexes = [
            models.Index(name="process_alive", fields=["kind"], condition=Q(stopped_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.host}:{self.pid}"


class PollLeadership(models.Model):
    """Who polls one filter group of an engine: expires after 10 s, renewed every 3 s. It saves requests, no more."""

    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="+")
    ordinal = models.PositiveSmallIntegerField(_("filter group"))
    process = models.ForeignKey(Process, on_delete=models.CASCADE, related_name="+")
    expires_at = models.DateTimeField(_("expires at"))

    class Meta:
        verbose_name = _("poll leadership")
        verbose_name_plural = _("poll leaderships")
        constraints = [models.UniqueConstraint(name="leadership_one_per_group", fields=["engine", "ordinal"])]

    def __str__(self) -> str:
        return f"{self.engine} #{self.ordinal}"


class Fetch(models.Model):
    """One fetch request: its own worker id, committed before it is sent; ``id`` is the sequence number."""

    class End(models.TextChoices):
        """How it was closed; the answer of a closed fetch is never recorded."""

        ANSWERED = "answered", _("answered")
        NEVER_SENT = "never_sent", _("never sent")
        ABANDONED = "abandoned", _("no answer")
        COLLECTED = "collected", _("its process died")

    worker_id = models.CharField(_("worker id"), max_length=64, unique=True)
    engine = models.ForeignKey(Engine, on_delete=models.CASCADE, related_name="+")
    process = models.ForeignKey(Process, on_delete=models.CASCADE, related_name="+")
    ordinal = models.PositiveSmallIntegerField(_("filter group"), default=0)
    topics = ArrayField(models.CharField(max_length=255), verbose_name=_("topics"))
    max_tasks = models.PositiveIntegerField(_("at most"))
    wait_ms = models.PositiveIntegerField(_("wait (ms)"))
    lock_ms = models.PositiveIntegerField(_("shortest lock (ms)"))
    started_at = models.DateTimeField(_("started at"), db_default=Now())
    closed_at = models.DateTimeField(_("closed at"), null=True)
    closed_as = models.CharField(_("closed as"), max_length=10, choices=End.choices, blank=True)
    watch_until = models.DateTimeField(
        _("watch for ghosts until"),
        null=True,
        help_text=_("While set, the engine is asked whether this worker id holds tasks, and they are freed."),
    )

    class Meta:
        verbose_name = _("fetch")
        verbose_name_plural = _("fetches")
        indexes = [
            models.Index(name="fetch_open", fields=["process"], condition=Q(closed_at=None)),
            models.Index(name="fetch_watched", fields=["watch_until"], condition=~Q(watch_until=None)),
            models.Index(name="fetch_by_age", fields=["started_at"]),
        ]
        constraints = [
            models.CheckConstraint(
                name="fetch_closed_says_how",
                condition=Q(closed_at=None, closed_as="") | (Q(closed_at__isnull=False) & ~Q(closed_as="")),
            ),
            models.CheckConstraint(
                name="fetch_watched_is_closed", condition=Q(watch_until=None) | Q(closed_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.worker_id


_FAILED = Q(status="delivered", outcome="failed")
_OVER = Q(engine__isnull=False, assumed=False) & (
    Q(status="lost") | Q(status="delivered", outcome__in=["completed", "thrown"])
)
"""Its external task is certainly gone."""

_FULL = Q(emptied_at=None) | Q(emptied_at__lte=F("changed_at"))
"""Its data were not removed; a task that moved on afterwards has new ones."""


BACKWARDS = F("id") * -1
"""What lists of tasks with filters are ordered by: newest first. Indexes of lists end with it.

By the id itself PostgreSQL may walk the primary key instead, in the hope that what is wanted lies among the newest
tasks; where it does not, it reads all that are newer. Of this expression no other index knows the order.
"""

OF_ENGINE = Coalesce(F("engine"), 0, output_field=models.BigIntegerField())
"""By which lists ask for the tasks of an engine; 0 is that of no engine.

Not by the column: a plan for small tables would look for one external task of an engine among all that the engine has,
by this index, and a process of the road keeps its plans.
"""


def _lifecycle_allows() -> Q:
    allowed = Q(pk__in=[])
    for status in Status:
        allowed |= Q(status=status.value, outcome__in=[outcome.value for outcome in outcomes_of(status)])
    return allowed


class Task(models.Model):
    """Our record of one external task of an engine, or of one call of the REST API."""

    engine = models.ForeignKey(
        Engine,
        verbose_name=_("engine"),
        on_delete=models.PROTECT,
        null=True,
        db_index=False,  # the constraint below begins with it
        related_name="tasks",
        help_text=_("Empty: it was asked for through the REST API."),
    )
    external_id = models.CharField(
        _("external task"), max_length=255, help_text=_("The Idempotency-Key of a call of the REST API.")
    )
    caller = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("caller"),
        on_delete=models.SET_NULL,
        null=True,
        db_index=False,  # nearly all tasks have none; the few are found by the constraint below
        related_name="+",
        help_text=_("Who asked for it through the REST API."),
    )
    request_digest = models.CharField(
        _("digest of the request"),
        max_length=64,
        blank=True,
        default="",
        db_default="",
        help_text=_("SHA-256 of topic and variables of a call: a repeated key must come with the same."),
    )
    topic = models.CharField(_("topic"), max_length=255)
    mapping = models.ForeignKey(
        Mapping,
        verbose_name=_("mapping"),
        # A fetch may be under way while its mapping is deleted: its tasks are given back. And millions of tasks that it
        # once had need not be changed for that: they name a mapping that is no more.
        on_delete=models.DO_NOTHING,
        null=True,
        db_index=False,
        related_name="+",
        db_constraint=False,
    )
    status = models.CharField(_("status"), max_length=9, choices=[(s.value, s.value) for s in Status])
    outcome = models.CharField(
        _("outcome"), max_length=9, blank=True, default="", choices=[(o.value, o.value) for o in Outcome if o.value]
    )
    outcome_id = models.UUIDField(
        _("outcome id"), null=True, help_text=_("The lease that produced the outcome; a fresh id when a person did.")
    )
    result = models.JSONField(
        _("result"),
        null=True,
        help_text=_(
            "What is reported: variables, or message, details, retries, wait_ms, code; of a failure the unit too."
        ),
    )
    error_group = models.CharField(
        _("error group"),
        max_length=16,
        blank=True,
        db_default="",
        help_text=_("Of the failure that its last run, or a person, ended it with; empty after any other outcome."),
    )
    by_hand = models.BooleanField(_("completed by hand"), default=False)
    lease_id = models.UUIDField(_("live lease"), null=True)
    last_lease_id = models.UUIDField(_("last lease"))
    attempts = models.PositiveIntegerField(_("leases"), default=1)
    crashes = models.PositiveIntegerField(
        _("crashes"),
        default=0,
        help_text=_("Leases whose process died, or lost a place, while the unit ran; a person's retry clears it."),
    )
    quarantined_at = models.DateTimeField(
        _("quarantined at"), null=True, help_text=_("When it failed for good because of its crashes.")
    )
    priority = models.BigIntegerField(_("priority"), default=0)
    variables = models.JSONField(_("variables"), default=dict)
    extension_properties = models.JSONField(_("extension properties"), default=dict)
    engine_retries = models.IntegerField(_("retries at the engine"), null=True)
    process_instance_id = models.CharField(_("process instance"), max_length=64, blank=True)
    process_definition_id = models.CharField(_("process definition"), max_length=255, blank=True)
    process_definition_key = models.CharField(_("process definition key"), max_length=255, blank=True)
    execution_id = models.CharField(_("execution"), max_length=64, blank=True)
    activity_id = models.CharField(_("activity"), max_length=255, blank=True)
    activity_instance_id = models.CharField(_("activity instance"), max_length=255, blank=True)
    business_key = models.CharField(_("business key"), max_length=255, blank=True)
    tenant_id = models.CharField(_("tenant"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created at the engine"), null=True)
    recorded_at = models.DateTimeField(_("first seen at"), db_default=Now())
    changed_at = models.DateTimeField(_("changed at"), db_default=Now())
    reporter = models.ForeignKey(
        Process,
        verbose_name=_("reporter"),
        on_delete=models.SET_NULL,
        null=True,
        db_index=False,  # only asked together with a status
        related_name="+",
        db_constraint=False,
    )
    report_tries = models.PositiveIntegerField(_("report tries"), default=0)
    report_refusals = models.PositiveIntegerField(_("refusals of the report"), default=0)
    report_error = models.TextField(_("last refusal"), blank=True, default="")
    next_report_at = models.DateTimeField(
        _("next report at"), null=True, help_text=_("Of a waiting task: when its lock must be extended.")
    )
    parked = models.BooleanField(
        _("parked"), default=False, help_text=_("Work done, engine refuses: a failure without retries was reported.")
    )
    assumed = models.BooleanField(
        _("assumed"), default=False, help_text=_("Delivered as far as we know: the engine no longer knew the task.")
    )
    look_at = models.DateTimeField(_("ask the engine at"), null=True)
    retry_at = models.DateTimeField(
        _("offered again at"), null=True, help_text=_("From then on the engine offers it; a parked poll sleeps on.")
    )
    offer_due = models.BooleanField(
        _("to be offered again"), default=False, help_text=_("Settled: the engine still has to get its retries back.")
    )
    emptied_at = models.DateTimeField(
        _("data removed at"), null=True, help_text=_("Retention has removed its variables, result and errors.")
    )

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        constraints = [
            models.UniqueConstraint(name="task_one_per_external_task", fields=["engine", "external_id"]),
            models.UniqueConstraint(
                name="task_one_per_call", fields=["caller", "external_id"], condition=Q(engine=None)
            ),
            models.CheckConstraint(name="task_outcome_fits_status", condition=_lifecycle_allows()),
            models.CheckConstraint(
                name="task_held_has_lease", condition=~Q(status__in=["queued", "running"]) | Q(lease_id__isnull=False)
            ),
            models.CheckConstraint(
                name="task_resting_has_no_lease",
                condition=~Q(status__in=["returned", "lost", "delivered"]) | Q(lease_id=None),
            ),
            models.CheckConstraint(
                name="task_outcome_has_id",
                condition=Q(outcome="", outcome_id=None, result__isnull=True)
                | (~Q(outcome="") & Q(outcome_id__isnull=False)),
            ),
            models.CheckConstraint(
                name="task_lease_is_last", condition=Q(lease_id=None) | Q(lease_id=F("last_lease_id"))
            ),
        ]
        indexes = [
            models.Index(F("priority").desc(), F("id"), name="task_queue", condition=Q(status="queued")),
            models.Index(name="task_running", fields=["id"], condition=Q(status="running")),
            models.Index(name="task_to_report", fields=["next_report_at"], condition=Q(status="performed")),
            models.Index(name="task_to_keep", fields=["next_report_at"], condition=Q(status="waiting")),
            models.Index(
                name="task_to_fetch_again", fields=["engine", "topic", "retry_at"], condition=~Q(retry_at=None)
            ),
            models.Index(name="task_to_look_at", fields=["look_at"], condition=~Q(look_at=None)),
            models.Index(F("status"), F("outcome"), BACKWARDS, name="task_by_state"),
            models.Index(OF_ENGINE, BACKWARDS, name="task_by_engine"),
            models.Index(F("topic"), BACKWARDS, name="task_by_topic"),
            models.Index(F("error_group"), BACKWARDS, name="task_by_error_group", condition=_FAILED),
            models.Index(name="task_newest_failed", fields=["-changed_at"], condition=_FAILED),
            models.Index(BACKWARDS, name="task_quarantined", condition=_FAILED & Q(quarantined_at__isnull=False)),
            models.Index(name="task_by_instance", fields=["process_instance_id"]),
            models.Index(name="task_by_business_key", fields=["business_key"], condition=~Q(business_key="")),
            # What retention takes away next (upkeep/retention.py), oldest first in each class.
            models.Index(name="task_to_empty", fields=["status", "outcome", "changed_at"], condition=_OVER & _FULL),
            models.Index(
                name="task_to_delete",
                fields=["status", "outcome", "changed_at"],
                condition=_OVER & Q(emptied_at__gt=F("changed_at")),
            ),
            models.Index(
                name="task_call_to_delete",
                fields=["changed_at"],
                condition=Q(engine=None, status__in=["delivered", "returned", "lost"]),
            ),
            models.Index(
                name="task_failed_unasked",
                fields=["changed_at"],
                condition=Q(engine__isnull=False, status="delivered", outcome="failed", look_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.external_id}"

    @property
    def emptied(self) -> bool:
        """Whether retention has removed its data; a task that moved on afterwards has new ones."""
        return self.emptied_at is not None and self.emptied_at > self.changed_at

    @property
    def engine_name(self) -> str:
        """The engine's name, or what stands for it where there is none."""
        return self.engine.name if self.engine else WITHOUT_ENGINE


class ServicePace(models.Model):
    """How far the tasks that began have used up the rate of a service (``bptl.tasks.limits``)."""

    service = models.OneToOneField(Service, on_delete=models.CASCADE, primary_key=True, related_name="+")
    used_until = models.DateTimeField(
        _("used until"), help_text=_("When the next one would begin, were all spread evenly.")
    )

    class Meta:
        verbose_name = _("pace of a service")
        verbose_name_plural = _("paces of services")

    def __str__(self) -> str:
        return str(self.service)


class Lease(models.Model):
    """Our right to one task for a while. Times of its moves are columns; times are PostgreSQL's."""

    id = models.UUIDField(primary_key=True, default=time_ordered_id, editable=False)
    task = models.ForeignKey(
        Task,
        on_delete=models.CASCADE,
        db_index=False,  # the constraint on its number begins with it
        related_name="leases",
    )
    number = models.PositiveIntegerField(_("number"), help_text=_("Counts the leases of a task, from 1."))
    worker_id = models.CharField(_("worker id"), max_length=64)
    fetch_number = models.BigIntegerField(_("fetch"))
    holder = models.ForeignKey(
        Process,
        on_delete=models.PROTECT,
        db_index=False,  # only asked for live leases, which have an index of their own
        related_name="+",
        db_constraint=False,
    )
    lock_ms = models.PositiveIntegerField(_("lock (ms)"))
    locked_until = models.DateTimeField(
        _("locked at least until"),
        help_text=_("Reckoned from before the request; the engine's own time is only shown."),
    )
    engine_locked_until = models.DateTimeField(_("locked until, says the engine"), null=True)
    extensions = models.PositiveIntegerField(_("extensions"), default=0)
    recorded_at = models.DateTimeField(_("recorded at"), db_default=Now())
    claimed_at = models.DateTimeField(_("claimed at"), null=True)
    performed_at = models.DateTimeField(_("performed at"), null=True)
    outcome = models.CharField(
        _("outcome"), max_length=9, blank=True, default="", choices=[(o.value, o.value) for o in Outcome if o.value]
    )
    error = models.JSONField(_("error"), null=True, help_text=_("message, details, code, retries of this attempt"))
    ended_at = models.DateTimeField(_("ended at"), null=True)
    ended_as = models.CharField(
        _("ended as"), max_length=12, blank=True, default="", choices=[(e.value, e.value) for e in LeaseEnd]
    )

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")
        constraints = [
            models.UniqueConstraint(name="lease_one_live_per_task", fields=["task"], condition=Q(ended_at=None)),
            models.UniqueConstraint(name="lease_numbers_count", fields=["task", "number"]),
            models.CheckConstraint(
                name="lease_ended_says_how",
                condition=Q(ended_at=None, ended_as="") | (Q(ended_at__isnull=False) & ~Q(ended_as="")),
            ),
        ]
        indexes = [
            models.Index(name="lease_live_by_holder", fields=["holder"], condition=Q(ended_at=None)),
            models.Index(name="lease_by_performed", fields=["performed_at"], condition=~Q(performed_at=None)),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Effect(models.Model):
    """An intent to change something outside, and how it ended. One row per task, key and lease (design, rule 3)."""

    class End(models.TextChoices):
        """What is known of it."""

        HAPPENED = "happened", _("happened")
        DID_NOT_HAPPEN = "did_not_happen", _("did not happen")

    task = models.ForeignKey(
        Task,
        on_delete=models.CASCADE,
        db_index=False,  # effect_one_per_lease begins with it
        related_name="effects",
    )
    key = models.CharField(_("effect"), max_length=300)
    lease_id = models.UUIDField(_("lease"))
    arguments = models.JSONField(_("arguments"), default=dict)
    intended_at = models.DateTimeField(_("intended at"), db_default=Now())
    gives_up_at = models.DateTimeField(_("its call has given up at"))
    settles_at = models.DateTimeField(_("the service has acted at"))
    end = models.CharField(_("end"), max_length=14, choices=End.choices, blank=True, default="")
    ended_at = models.DateTimeField(_("known since"), null=True)
    known_by = models.CharField(
        _("known by"), max_length=200, blank=True, default="", help_text=_("answer, reconciled, or a person's name.")
    )
    result = models.JSONField(_("result"), null=True)
    error = models.TextField(_("last error"), blank=True, default="")

    class Meta:
        verbose_name = _("effect")
        verbose_name_plural = _("effects")
        constraints = [
            models.UniqueConstraint(name="effect_one_per_lease", fields=["task", "key", "lease_id"]),
            models.CheckConstraint(
                name="effect_ended_says_how",
                condition=Q(end="", ended_at=None) | (~Q(end="") & Q(ended_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="effect_result_only_when_happened", condition=Q(result__isnull=True) | Q(end="happened")
            ),
            models.CheckConstraint(name="effect_settles_last", condition=Q(settles_at__gte=F("gives_up_at"))),
        ]
        indexes = [models.Index(name="effect_open", fields=["task"], condition=Q(end=""))]

    def __str__(self) -> str:
        return self.key


EFFECT_DOUBLED = "effect.doubled"
"""Name of the event of an effect that happened more than once; its detail names the ``effect``."""


class Event(models.Model):
    """Something off the happy path, or something that a person did."""

    task = models.ForeignKey(
        Task,
        on_delete=models.CASCADE,
        db_index=False,  # event_by_task begins with it
        related_name="events",
    )
    lease_id = models.UUIDField(_("lease"), null=True)
    at = models.DateTimeField(_("at"), db_default=Now())
    name = models.CharField(_("event"), max_length=60)
    actor = models.CharField(
        _("by"), max_length=150, blank=True, help_text=_("A person's name; empty for BPTL itself.")
    )
    detail = models.JSONField(_("details"), default=dict)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [
            models.Index(name="event_by_task", fields=["task", "id"]),
            models.Index(name="event_of_a_person", fields=["-at", "-id"], condition=~Q(actor="")),
        ]

    def __str__(self) -> str:
        return self.name


class Minute(models.Model):
    """What ended in one minute, counted by upkeep a moment later: no page reads the leases of a whole day."""

    start = models.DateTimeField(_("begins at"), primary_key=True)
    completed = models.PositiveIntegerField(_("completed"))
    failed = models.PositiveIntegerField(_("failed"))
    thrown = models.PositiveIntegerField(_("BPMN errors"))
    latencies = models.JSONField(
        _("latencies"),
        help_text=_("How many were delivered how long after their fetch: numbers by step (bptl.tasks.latencies)."),
    )
    final = models.BooleanField(_("final"), help_text=_("So long ago that no delivery is still to come."))

    class Meta:
        verbose_name = _("minute")
        verbose_name_plural = _("minutes")

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M}"
