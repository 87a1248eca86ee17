"""Logging in and out, and choosing a password."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import BACKEND_SESSION_KEY
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView, PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.utils.translation import gettext as _

from bptl.accounts import audit, lockout, oidc
from bptl.accounts.models import User
from bptl.web.acting import address, by
from bptl.web.rights import OIDC_BACKEND


class Login(LoginView):
    """The login page of people."""

    template_name = "web/login.html"
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """A refresh of a page whose session ended takes the whole page here, not the form into the page."""
        if request.headers.get("HX-Request"):
            return HttpResponse(status=204, headers={"HX-Redirect": request.get_full_path()})
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the identity provider, when there is one."""
        return super().get_context_data(**kwargs, provider=settings.BPTL_OIDC_NAME if oidc.configured() else "")


class Logout(LogoutView):
    """Ends the session here; a page offers to end that of the identity provider too."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Log out."""
        by_provider = request.session.get(BACKEND_SESSION_KEY) == OIDC_BACKEND
        answer: HttpResponse = super().post(request, *args, **kwargs)
        # Not at once: the provider's address is another host, to which no form of ours may lead.
        return redirect("oidc-ended") if by_provider else answer


class Welcome(PasswordResetConfirmView):
    """Somebody chooses a password by a link that works once."""

    template_name = "web/welcome.html"
    success_url = reverse_lazy("login")

    def form_valid(self, form: Any) -> HttpResponse:
        """Keep the password, and say so in the audit log."""
        answer = super().form_valid(form)
        user: User = form.user
        audit.record("password.chosen", by=audit.By(user.username, address(self.request)), about=user)
        messages.success(self.request, _("Your password is set. Log in with it."))
        return answer


class PasswordChange(PasswordChangeView):
    """Somebody changes their own password; their other sessions end."""

    template_name = "web/password_change.html"
    success_url = reverse_lazy("account")

    def form_valid(self, form: Any) -> HttpResponse:
        """Keep the password, and say so in the audit log."""
        answer = super().form_valid(form)
        audit.record("password.changed", by=by(self.request), about=form.user)
        messages.success(self.request, _("Your password is changed."))
        return answer


def locked(request: HttpRequest, answer: HttpResponse, credentials: Mapping[str, Any] | None = None) -> HttpResponse:
    """The page of who is locked out, which says when to try again; the REST API has said it itself (429)."""
    if request.path_info.startswith(reverse("api-root").removesuffix("v1/")):
        return answer
    until = lockout.until(str((credentials or {}).get("username") or ""), address(request))
    page = render(request, "web/locked.html", {"until": until, "minutes": _minutes(until)}, status=429)
    page["Retry-After"] = str(max(1, int((until - timezone.now()).total_seconds())))
    return page


def _minutes(until: datetime) -> int:
    return max(1, round((until - timezone.now()).total_seconds() / 60))
