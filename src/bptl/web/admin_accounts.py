"""Admin pages of people, to look at: they are changed on pages of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from bptl.accounts.models import User
from bptl.web.admin_look import LookOnly

if TYPE_CHECKING:
    PersonModelAdmin = admin.ModelAdmin[User]
else:
    PersonModelAdmin = admin.ModelAdmin


class PersonAdmin(LookOnly, PersonModelAdmin):
    """People, to look at: what changes them has consequences that only ``bptl.accounts.people`` knows."""

    list_display = ("username", "get_full_name", "email", "shown_role", "is_active", "last_login")
    list_filter = ("is_active", "groups")
    search_fields = ("username", "first_name", "last_name", "email")
    fields = (
        *("username", "first_name", "last_name", "email"),
        *("shown_role", "is_active", "last_login", "date_joined"),
    )
    readonly_fields = ("shown_role",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With the groups, from which the role follows: one query for a whole page."""
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description=_("role"))
    def shown_role(self, user: User) -> str:
        """What they may do."""
        return str(user.role.label) if user.role else "-"
