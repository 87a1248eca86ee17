"""Rows of circuit breakers: one for a service or an engine, and one for each time that it was open."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Breaker(models.Model):
    """The breaker of one service or one engine, made when it is first needed; it is open while an opening has no end.

    ``asking_until`` and ``asked_at`` let one process of the fleet ask whether the other side is there; the others wait
    for its answer.
    """

    service = models.OneToOneField(
        "connections.Service",
        verbose_name=_("service"),
        on_delete=models.CASCADE,
        null=True,
        related_name="breaker",
    )
    engine = models.OneToOneField(
        "connections.Engine", verbose_name=_("engine"), on_delete=models.CASCADE, null=True, related_name="breaker"
    )
    asking_until = models.DateTimeField(_("somebody asks until"), null=True)
    asked_at = models.DateTimeField(
        _("asked at"), null=True, help_text=_("When the last question began that was answered.")
    )

    class Meta:
        verbose_name = _("circuit breaker")
        verbose_name_plural = _("circuit breakers")
        constraints = [
            models.CheckConstraint(
                name="breaker_of_one",
                condition=Q(service__isnull=False, engine=None) | Q(service=None, engine__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The name of its service or engine."""
        return self.service.name if self.service is not None else self.engine.name if self.engine is not None else ""


class Opening(models.Model):
    """One time that a breaker was open: nothing was fetched that needs its service, or from its engine."""

    breaker = models.ForeignKey(Breaker, on_delete=models.CASCADE, db_index=False, related_name="openings")
    opened_at = models.DateTimeField(_("opened at"), db_default=Now())
    opened_by = models.CharField(
        _("opened by"), max_length=150, blank=True, default="", help_text=_("A person's name; empty for BPTL itself.")
    )
    reason = models.CharField(_("reason"), max_length=700, help_text=_("What was seen, or what a person said."))
    until = models.DateTimeField(
        _("until"), null=True, help_text=_("End of a maintenance window; from then on it is probed.")
    )
    next_probe_at = models.DateTimeField(_("next probe at"), null=True)
    probes = models.PositiveIntegerField(_("probes"), default=0)
    good_probes = models.PositiveSmallIntegerField(_("good probes in a row"), default=0)
    last_probe = models.CharField(_("last probe"), max_length=700, blank=True, default="")
    reopened = models.PositiveSmallIntegerField(
        _("times reopened"), default=0, help_text=_("Openings before it that followed each other soon.")
    )
    closed_at = models.DateTimeField(_("closed at"), null=True)
    closed_by = models.CharField(_("closed by"), max_length=150, blank=True, default="")
    closed_reason = models.CharField(_("reason of the closing"), max_length=700, blank=True, default="")

    class Meta:
        verbose_name = _("opening of a circuit breaker")
        verbose_name_plural = _("openings of circuit breakers")
        constraints = [
            models.UniqueConstraint(name="opening_one_at_a_time", fields=["breaker"], condition=Q(closed_at=None)),
            models.CheckConstraint(name="opening_has_a_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="opening_by_hand_has_an_end",
                condition=Q(opened_by="", until=None) | (~Q(opened_by="") & Q(until__isnull=False)),
            ),
            models.CheckConstraint(
                name="opening_is_probed_until_closed",
                condition=Q(closed_at=None, next_probe_at__isnull=False, closed_by="", closed_reason="")
                | (Q(closed_at__isnull=False, next_probe_at=None) & ~Q(closed_reason="")),
            ),
        ]
        indexes = [
            models.Index(name="opening_by_breaker", fields=["breaker", "-id"]),
            models.Index(name="opening_to_probe", fields=["next_probe_at"], condition=~Q(next_probe_at=None)),
            models.Index(name="opening_by_end", fields=["closed_at"], condition=~Q(closed_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.breaker}: {self.reason}"

    @property
    def by_hand(self) -> bool:
        """Whether a person opened it: a maintenance window."""
        return bool(self.opened_by)
