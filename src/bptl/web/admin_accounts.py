"""Admin pages of people (to look at) and of API tokens: made here too, their key shown once; revoked, never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from bptl.accounts import tokens
from bptl.accounts.models import Token, User
from bptl.web.admin_look import LookOnly

if TYPE_CHECKING:
    PersonModelAdmin = admin.ModelAdmin[User]
    TokenModelAdmin = admin.ModelAdmin[Token]
else:
    PersonModelAdmin = TokenModelAdmin = admin.ModelAdmin


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

    @admin.display(description=_("role"))
    def shown_role(self, user: User) -> str:
        """What they may do."""
        return str(user.role.label) if user.role else "-"


class TokenAdmin(TokenModelAdmin):
    """Keys by which machines call the REST API."""

    list_display = ("name", "user", "beginning", "created_at", "used_at", "revoked_at")
    list_filter = ("user",)
    list_select_related = ("user",)
    search_fields = ("name",)
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: Token | None = None) -> tuple[str, ...]:
        """A new one has a user and a name; the rest comes by itself."""
        made = ("beginning", "created_at", "used_at", "revoked_at") if obj else ()
        return ("user", "name", *made)

    def get_readonly_fields(self, request: HttpRequest, obj: Token | None = None) -> tuple[str, ...]:
        """What is made stays as it is."""
        return self.get_fields(request, obj) if obj else ()

    def save_model(self, request: HttpRequest, obj: Token, form: ModelForm[Token], change: bool) -> None:
        """Make it, and show its key in the message of the next page: nowhere else and never again."""
        if change:
            return
        made = tokens.create(obj.user, name=obj.name)
        obj.pk = made.token.pk
        text = _("The key of token %(name)s, shown this once: %(key)s") % {"name": obj.name, "key": made.key}
        self.message_user(request, text, messages.WARNING)

    @admin.action(description=_("Revoke"), permissions=["change"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[Token]) -> None:
        """Refuse the keys of the chosen tokens from now on."""
        valid = list(chosen.filter(revoked_at=None))
        for token in valid:
            tokens.revoke(token)
        text = ngettext("%(count)d token revoked.", "%(count)d tokens revoked.", len(valid)) % {"count": len(valid)}
        self.message_user(request, text, messages.SUCCESS)
