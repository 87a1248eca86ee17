"""The people who log in, and the tokens of machines that act for them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from bptl.accounts.roles import Role, highest


class People(BaseUserManager["User"]):
    """Makes users; ``is_staff`` is nothing that could be given to one."""

    def create_user(self, username: str, email: str = "", password: str | None = None, **fields: Any) -> User:
        """A user without a role; without a password nobody can log in with one."""
        user = self.model(username=self.model.normalize_username(username), email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, username: str, email: str = "", password: str | None = None, **fields: Any) -> User:
        """An administrator: what ``bptl manage createsuperuser`` calls."""
        return self.create_user(username, email, password, **{**fields, "is_superuser": True})


class User(AbstractUser):
    """Somebody with a login. What they may do follows from their role alone: Django's own permissions are not used."""

    objects = People()  # type: ignore[misc,assignment] # Django's own would want to set is_staff

    @cached_property
    def role(self) -> Role | None:
        """What they may do; None for who may do nothing yet."""
        if self.is_superuser:
            return Role.ADMINISTRATOR
        return highest(self.groups.values_list("name", flat=True)) if self.pk else None

    def may(self, role: Role) -> bool:
        """Whether they may do what needs ``role``."""
        return self.is_active and self.role is not None and self.role.includes(role)

    @property
    def is_staff(self) -> bool:  # type: ignore[override]
        """Whether they may use the admin pages: no column, so that it cannot contradict the role."""
        return self.may(Role.ADMINISTRATOR)

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Everything for an administrator, nothing for others."""
        return self.may(Role.ADMINISTRATOR)

    def has_module_perms(self, app_label: str) -> bool:
        """Everything for an administrator, nothing for others."""
        return self.may(Role.ADMINISTRATOR)


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
