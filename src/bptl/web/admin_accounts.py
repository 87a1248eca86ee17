"""Admin pages of people (to look at) and of API tokens: made here too, their key shown once; revoked, never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from bptl.accounts import tokens
from bptl.accounts.models import Token, User
from bptl.accounts.scopes import Scope
from bptl.web.acting import by
from bptl.web.admin_audit import Audited
from bptl.web.admin_look import LookOnly

if TYPE_CHECKING:
    PersonModelAdmin = admin.ModelAdmin[User]
    TokenModelAdmin = admin.ModelAdmin[Token]
    TokenModelForm = forms.ModelForm[Token]
else:
    PersonModelAdmin = TokenModelAdmin = admin.ModelAdmin
    TokenModelForm = forms.ModelForm


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


class TokenForm(TokenModelForm):
    """A new token: its scopes are chosen from a list."""

    scopes = forms.MultipleChoiceField(
        label=_("scopes"),
        choices=[(scope.value, scope.label) for scope in Scope],
        widget=forms.CheckboxSelectMultiple,
        initial=[Scope.CALL.value],
    )


class TokenAdmin(Audited, TokenModelAdmin):
    """Keys by which machines call the REST API."""

    form = TokenForm

    list_display = ("name", "user", "beginning", "scopes", "created_at", "expires_at", "used_at", "revoked_at")
    list_filter = ("user",)
    list_select_related = ("user",)
    search_fields = ("name",)
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: Token | None = None) -> tuple[str, ...]:
        """A new one has a user, a name, scopes and perhaps an end; the rest comes by itself."""
        made = ("beginning", "created_at", "used_at", "revoked_at") if obj else ()
        return ("user", "name", "scopes", "expires_at", *made)

    def get_readonly_fields(self, request: HttpRequest, obj: Token | None = None) -> tuple[str, ...]:
        """What is made stays as it is."""
        return self.get_fields(request, obj) if obj else ()

    def save_model(self, request: HttpRequest, obj: Token, form: ModelForm[Token], change: bool) -> None:
        """Make it, and show its key in the message of the next page: nowhere else and never again."""
        if change:
            return
        scopes = [Scope(scope) for scope in form.cleaned_data["scopes"]]
        made = tokens.create(obj.user, name=obj.name, scopes=scopes, expires_at=obj.expires_at, by=by(request))
        obj.pk = made.token.pk
        text = _("The key of token %(name)s, shown this once: %(key)s") % {"name": obj.name, "key": made.key}
        self.message_user(request, text, messages.WARNING)

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Making it has said so already."""

    @admin.action(description=_("Revoke"), permissions=["change"])
    def revoke(self, request: HttpRequest, chosen: QuerySet[Token]) -> None:
        """Refuse the keys of the chosen tokens from now on."""
        valid = list(chosen.filter(revoked_at=None))
        for token in valid:
            tokens.revoke(token, by=by(request))
        text = ngettext("%(count)d token revoked.", "%(count)d tokens revoked.", len(valid)) % {"count": len(valid)}
        self.message_user(request, text, messages.SUCCESS)
