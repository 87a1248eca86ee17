"""Rows of what goes wrong and of what people were told about it.

A message is written in the transaction that decides to tell (an outbox), and sent after that. What must never be is
refused by the database: two open incidents of one thing, two messages of one number to one address, two digests of one
period.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from bptl.connections.models import Engine, Mapping
from bptl.connections.service_models import Service


class Kind(models.TextChoices):
    """What goes wrong."""

    FAILED = "failed", _("tasks failed and no retries are left")
    REFUSED = "refused", _("work is done and the engine refuses its result")
    UNCERTAIN = "uncertain", _("nobody knows whether an effect happened: a person decides")
    MAPPING = "mapping", _("a mapping is broken: nothing is fetched for it")
    ENGINE = "engine", _("an engine is not reached")
    SERVICE = "service", _("a service is down: nothing is fetched that needs it")
    WORKERS = "workers", _("no worker lives: nothing is done")
    POLLERS = "pollers", _("no long-polling worker lives: nothing is fetched")


OF_TASKS = (Kind.FAILED, Kind.REFUSED, Kind.UNCERTAIN)
"""Kinds that count tasks; the others are a state that lasts."""


class Incident(models.Model):
    """One thing that goes wrong, with all its occurrences: tasks of one mapping with one cause, an engine, a fleet."""

    kind = models.CharField(_("kind"), max_length=9, choices=Kind.choices)
    key = models.CharField(
        _("key"), max_length=400, help_text=_("What makes two occurrences the same, such as a mapping and its error.")
    )
    mapping = models.ForeignKey(
        Mapping, verbose_name=_("mapping"), on_delete=models.SET_NULL, null=True, related_name="+"
    )
    engine = models.ForeignKey(Engine, verbose_name=_("engine"), on_delete=models.SET_NULL, null=True, related_name="+")
    service = models.ForeignKey(
        Service, verbose_name=_("service"), on_delete=models.SET_NULL, null=True, related_name="+"
    )
    topic = models.CharField(_("topic"), max_length=255, blank=True)
    error_group = models.CharField(_("error group"), max_length=64, blank=True)
    cause = models.CharField(
        _("cause"), max_length=500, blank=True, help_text=_("Without values of variables: it is mailed.")
    )
    count = models.PositiveIntegerField(_("occurrences"), default=1)
    began_at = models.DateTimeField(_("began at"), db_default=Now())
    last_at = models.DateTimeField(_("last occurrence at"), db_default=Now())
    ended_at = models.DateTimeField(_("ended at"), null=True)
    tells = models.PositiveIntegerField(_("times told"), default=0)
    told_at = models.DateTimeField(_("last told at"), null=True)
    told_count = models.PositiveIntegerField(_("occurrences when last told"), default=0)
    tell_at = models.DateTimeField(_("told next at"), null=True, help_text=_("Not before; empty when it has ended."))
    muted_until = models.DateTimeField(_("muted until"), null=True)
    muted_by = models.CharField(_("muted by"), max_length=150, blank=True)
    muted_because = models.TextField(_("reason of the mute"), blank=True)

    class Meta:
        verbose_name = _("incident")
        verbose_name_plural = _("incidents")
        constraints = [
            models.UniqueConstraint(name="incident_open_once", fields=["kind", "key"], condition=Q(ended_at=None)),
            models.CheckConstraint(
                name="incident_open_is_told_next",
                condition=Q(ended_at=None, tell_at__isnull=False) | Q(ended_at__isnull=False, tell_at=None),
            ),
            models.CheckConstraint(
                name="incident_mute_says_who",
                condition=Q(muted_until=None, muted_by="") | (Q(muted_until__isnull=False) & ~Q(muted_by="")),
            ),
            models.CheckConstraint(name="incident_told_is_counted", condition=Q(told_count__lte=F("count"))),
        ]
        indexes = [
            models.Index(name="incident_by_key", fields=["kind", "key", "-id"]),
            models.Index(name="incident_by_end", fields=["ended_at"], condition=~Q(ended_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"

    @property
    def of_tasks(self) -> bool:
        """Whether its occurrences are tasks."""
        return self.kind in OF_TASKS


class Sighting(models.Model):
    """One occurrence of an incident: a task, and the outcome or lease with which it went wrong. Counted once."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, db_index=False, related_name="sightings")
    # Without a constraint: retention deletes tasks, and nothing here is a reason to keep one.
    task_id = models.BigIntegerField(_("task"))
    occurrence = models.UUIDField(_("outcome or lease"))
    seen_at = models.DateTimeField(_("seen at"), db_default=Now())

    class Meta:
        verbose_name = _("sighting")
        verbose_name_plural = _("sightings")
        constraints = [models.UniqueConstraint(name="sighting_once", fields=["task_id", "occurrence"])]
        indexes = [models.Index(name="sighting_by_incident", fields=["incident", "seen_at"])]

    def __str__(self) -> str:
        return f"task {self.task_id}"


class Look(models.Model):
    """Up to when failures were looked for and digests written: one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seen_until = models.DateTimeField(_("failures were seen until"), db_default=Now())
    digested_until = models.DateTimeField(_("digests were written until"), db_default=Now())

    class Meta:
        verbose_name = _("look")
        verbose_name_plural = _("looks")
        constraints = [models.CheckConstraint(name="look_is_one_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return str(self.seen_until)


class Message(models.Model):
    """One mail or one call of a webhook: planned with what it tells, tried until it is taken or given up."""

    class Why(models.TextChoices):
        """What it tells."""

        BEGAN = "began", _("it began")
        GOES_ON = "goes_on", _("it goes on")
        OVER = "over", _("it is over")
        DIGEST = "digest", _("digest")
        TEST = "test", _("test")

    class Channel(models.TextChoices):
        """How it goes."""

        MAIL = "mail", _("mail")
        WEBHOOK = "webhook", _("webhook")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    why = models.CharField(_("tells"), max_length=7, choices=Why.choices)
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, null=True, db_index=False, related_name="messages")
    number = models.PositiveIntegerField(_("number"), default=0, help_text=_("Counts what was told of an incident."))
    period_began_at = models.DateTimeField(_("period of the digest from"), null=True)
    channel = models.CharField(_("channel"), max_length=7, choices=Channel.choices)
    recipient = models.CharField(_("recipient"), max_length=500)
    mapping = models.ForeignKey(
        Mapping,
        verbose_name=_("mapping"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text=_("Whose owner is told, and whose secret signs; empty: the installation's."),
    )
    subject = models.CharField(_("subject"), max_length=300, blank=True)
    text = models.TextField(_("text"), blank=True)
    payload = models.JSONField(_("payload"), default=dict)
    planned_at = models.DateTimeField(_("planned at"), db_default=Now())
    tries = models.PositiveIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField(_("next try at"), null=True, db_default=Now())
    sent_at = models.DateTimeField(_("sent at"), null=True)
    given_up_at = models.DateTimeField(_("given up at"), null=True)
    error = models.TextField(_("last error"), blank=True)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [
            models.UniqueConstraint(
                name="message_told_once",
                fields=["incident", "number", "channel", "recipient"],
                condition=Q(incident__isnull=False),
            ),
            models.UniqueConstraint(
                name="message_one_digest_a_period",
                fields=["recipient", "period_began_at"],
                condition=Q(why="digest"),
            ),
            models.CheckConstraint(
                name="message_ends_once",
                condition=Q(next_try_at__isnull=False, sent_at=None, given_up_at=None)
                | Q(next_try_at=None, sent_at__isnull=False, given_up_at=None)
                | Q(next_try_at=None, sent_at=None, given_up_at__isnull=False),
            ),
            models.CheckConstraint(
                name="message_is_about_something",
                condition=Q(why="digest", incident=None, period_began_at__isnull=False)
                | Q(why="test", incident=None, period_began_at=None)
                | Q(why__in=["began", "goes_on", "over"], incident__isnull=False, period_began_at=None),
            ),
        ]
        indexes = [
            models.Index(name="message_to_send", fields=["next_try_at"], condition=~Q(next_try_at=None)),
            models.Index(name="message_by_incident", fields=["incident", "-planned_at"]),
            models.Index(name="message_by_age", fields=["planned_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.why} to {self.recipient}"
