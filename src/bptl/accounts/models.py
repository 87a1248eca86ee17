"""The people who log in, and the tokens of machines that act for them."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """Somebody with a login; a table of our own, so that it can grow without moving people."""


class Token(models.Model):
    """A key by which a machine calls the REST API as its user. Only its digest is kept: the key is shown once."""

    user = models.ForeignKey(User, verbose_name=_("user"), on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(_("name"), max_length=100, help_text=_("Which machine has it, for instance flowable."))
    beginning = models.CharField(_("begins with"), max_length=12, help_text=_("To recognise the key by."))
    digest = models.CharField(_("digest"), max_length=64, unique=True, help_text=_("SHA-256 of the key."))
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    used_at = models.DateTimeField(_("last used at"), null=True, blank=True, help_text=_("To the minute."))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                name="token_names_are_unique_while_valid",
                fields=["name"],
                condition=Q(revoked_at=None),
                violation_error_message=_("A token of this name is in use; revoke it first or choose another name."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.beginning}…)"
