"""Rows of what a task has to do with the outside: addresses of answers, callbacks, calls to services."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from bptl.connections.encrypted import Clear, EncryptedField


class Completion(models.Model):
    """An address at which somebody outside completes a task, once (docs/adr/0029-answers-from-outside.md).

    Its token is found by a digest. It is kept encrypted as long as it can be used, because a later attempt may have to
    give the same address again; after that nothing of it is left but the digest.
    """

    class State(models.TextChoices):
        """Where it is."""

        OPEN = "open", _("open")
        """It may be used; the task does not wait for it (yet)."""
        AWAITED = "awaited", _("awaited")
        """The task waits for it."""
        ANSWERED = "answered", _("answered")
        """It was used before the task waited: the unit has not answered *pending* yet."""
        USED = "used", _("used")
        """Its answer became the outcome of the task."""
        EXPIRED = "expired", _("expired")
        """Nobody used it before its deadline."""

    task = models.ForeignKey(
        "tasks.Task",
        on_delete=models.CASCADE,
        db_index=False,  # completion_numbers_count begins with it
        related_name="completions",
    )
    key = models.CharField(_("key"), max_length=100)
    number = models.PositiveIntegerField(_("number"), help_text=_("Counts the addresses of a key, from 1."))
    unit = models.CharField(_("work unit"), max_length=255)
    lease_id = models.UUIDField(_("lease"), help_text=_("The attempt that asked for it."))
    digest = models.CharField(_("digest of the token"), max_length=64, unique=True, help_text=_("SHA-256."))
    encrypted_token = EncryptedField()
    token = Clear("encrypted_token")
    asked_at = models.DateTimeField(_("asked at"), db_default=Now())
    deadline = models.DateTimeField(_("deadline"))
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.OPEN)
    awaited_at = models.DateTimeField(_("awaited since"), null=True)
    answered_at = models.DateTimeField(_("answered at"), null=True)
    answered_by = models.CharField(
        _("answered by"), max_length=150, blank=True, default="", help_text=_("A person's name; empty for the outside.")
    )
    answer = models.JSONField(
        _("answer"), null=True, help_text=_("outcome, and variables, or message, details, retries, or code, catcher.")
    )
    answer_digest = models.CharField(
        _("digest of the answer"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("SHA-256 of what was sent: the same sent again is no second answer."),
    )

    class Meta:
        verbose_name = _("completion address")
        verbose_name_plural = _("completion addresses")
        constraints = [
            models.UniqueConstraint(name="completion_numbers_count", fields=["task", "key", "number"]),
            models.UniqueConstraint(
                name="completion_one_usable_per_key",
                fields=["task", "key"],
                condition=Q(state__in=["open", "awaited", "answered"]),
            ),
            models.UniqueConstraint(
                name="completion_one_awaited_per_task", fields=["task"], condition=Q(state="awaited")
            ),
            models.CheckConstraint(
                name="completion_awaited_says_when", condition=~Q(state="awaited") | Q(awaited_at__isnull=False)
            ),
            models.CheckConstraint(
                name="completion_answered_says_when",
                condition=Q(state__in=["answered", "used"], answered_at__isnull=False)
                | (~Q(state__in=["answered", "used"]) & Q(answered_at=None)),
            ),
            models.CheckConstraint(
                name="completion_over_keeps_no_token",
                condition=~Q(state__in=["used", "expired"]) | Q(encrypted_token=""),
            ),
        ]
        indexes = [
            models.Index(name="completion_by_deadline", fields=["deadline"], condition=Q(state__in=["open", "awaited"]))
        ]

    def __str__(self) -> str:
        return f"{self.key} #{self.number}"


class Callback(models.Model):
    """A POST that a process asked for, once its task is delivered (completed): an outbox of its own.

    Written in the statement that stores the outcome. ``place`` is scheme and host of the address: the rest may hold a
    key, and stands in no log.
    """

    class State(models.TextChoices):
        """What became of it."""

        WAITING = "waiting", _("waiting")
        DELIVERED = "delivered", _("delivered")
        REFUSED = "refused", _("refused")
        GIVEN_UP = "given_up", _("given up")
        DISMISSED = "dismissed", _("dismissed")

    task = models.ForeignKey(
        "tasks.Task",
        on_delete=models.CASCADE,
        db_index=False,  # callback_once_per_outcome begins with it
        related_name="callbacks",
    )
    outcome_id = models.UUIDField(_("outcome id"))
    url = models.TextField(_("address"))
    place = models.TextField(_("place"), blank=True)
    state = models.CharField(_("state"), max_length=9, choices=State.choices, default=State.WAITING)
    tries = models.PositiveIntegerField(_("tries"), default=0, db_default=0)
    first_try_at = models.DateTimeField(_("tried since"), null=True)
    next_try_at = models.DateTimeField(_("next try at"), null=True, help_text=_("Not before its task is delivered."))
    status = models.PositiveSmallIntegerField(_("last status"), null=True)
    error = models.TextField(_("last error"), blank=True, default="", db_default="")
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    ended_at = models.DateTimeField(_("ended at"), null=True)

    class Meta:
        verbose_name = _("callback")
        verbose_name_plural = _("callbacks")
        constraints = [
            models.UniqueConstraint(name="callback_once_per_outcome", fields=["task", "outcome_id"]),
            models.CheckConstraint(
                name="callback_waits_or_has_ended",
                condition=Q(state="waiting", next_try_at__isnull=False, ended_at=None)
                | (~Q(state="waiting") & Q(next_try_at=None, ended_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="callback_says_why",
                condition=~Q(state__in=["refused", "given_up", "dismissed"]) | ~Q(error=""),
            ),
        ]
        indexes = [
            models.Index(name="callback_due", fields=["next_try_at"], condition=Q(state="waiting")),
            models.Index(name="callback_by_state", fields=["state", "-id"]),
        ]

    def __str__(self) -> str:
        return self.place


LOGIN_REFUSED = (401, 403)
"""Answers of a service that is well and does nothing for us."""


class ServiceCall(models.Model):
    """One call to an outside service that a run made: redacted, and cut to a size (``bptl.clients.records``)."""

    task = models.ForeignKey("tasks.Task", on_delete=models.CASCADE, db_index=False, related_name="service_calls")
    lease_id = models.UUIDField(_("lease"))
    service = models.CharField(_("service"), max_length=100)
    method = models.CharField(_("method"), max_length=10)
    url = models.TextField(_("address"))
    began_at = models.DateTimeField(_("began at"))
    milliseconds = models.PositiveIntegerField(_("took (ms)"))
    status = models.PositiveSmallIntegerField(_("status"), null=True)
    error = models.TextField(_("error"), blank=True, default="")
    request_body = models.TextField(_("sent"), blank=True, default="")
    answer_body = models.TextField(_("answered"), blank=True, default="")

    class Meta:
        verbose_name = _("call to a service")
        verbose_name_plural = _("calls to services")
        indexes = [
            models.Index(name="service_call_by_task", fields=["task", "id"]),
            models.Index(name="service_call_by_service", fields=["service", "-began_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.url}"

    @property
    def served(self) -> bool:
        """Whether the service did its part: it answered, with less than 500, and did not refuse our login."""
        return self.status is not None and self.status < 500 and self.status not in LOGIN_REFUSED
