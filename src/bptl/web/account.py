"""What everybody sees of themselves: name, role, password, second factor."""

from __future__ import annotations

import segno
from django import forms
from django.contrib import messages
from django.contrib.auth import BACKEND_SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_otp import login as note_device

from bptl.accounts import second_factor
from bptl.accounts.tokens import state
from bptl.web.acting import by
from bptl.web.rights import OIDC_BACKEND, for_any_login, for_first_step, person
from bptl.web.words import TOKEN_STATES


class CodeForm(forms.Form):
    """Six digits of an app, or a recovery code."""

    code = forms.CharField(label=gettext_lazy("Code"), max_length=20, strip=True)


@for_any_login
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Who am I here?"""
    user = person(request)
    context = {
        "enrolled": second_factor.enrolled(user),
        "required": second_factor.required(user),
        "tokens": [(token, TOKEN_STATES[state(token)]) for token in user.tokens.filter(revoked_at=None)],
        "by_provider": request.session.get(BACKEND_SESSION_KEY) == OIDC_BACKEND,
    }
    return render(request, "web/account.html", context)


@for_first_step
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """Ask for the code that is missing after the password."""
    user = person(request)
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        device = second_factor.verify(user, form.cleaned_data["code"], by=by(request))
        if device is not None:
            request.session.cycle_key()
            note_device(request, device)
            return redirect(_wanted(request))
        form.add_error("code", _("This code is not right. Wait for the next one, then try again."))
    return render(request, "web/second_factor_code.html", {"form": form, "next": request.GET.get("next", "")})


@for_any_login
@require_http_methods(["GET", "HEAD", "POST"])
def enrol(request: HttpRequest) -> HttpResponse:
    """Add an app: its QR code, and the first code of it as proof."""
    user = person(request)
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        taken = second_factor.confirm(user, form.cleaned_data["code"], by=by(request))
        if taken is not None:
            device, codes = taken
            note_device(request, device)
            return render(request, "web/recovery_codes.html", {"codes": codes, "next": _wanted(request)})
        form.add_error("code", _("This code is not right. Wait for the next one, then try again."))
    device = second_factor.offered(user)
    # A drawing in the page itself: no image that a cache would keep.
    drawn = segno.make(device.config_url, error="m").svg_inline(scale=5, border=4, dark="#000", light="#fff")
    context = {
        "form": form,
        "drawn": mark_safe(drawn),  # noqa: S308 - made here, of numbers only
        "key": device.config_url.partition("secret=")[2].partition("&")[0],
        "next": request.GET.get("next", ""),
    }
    return render(request, "web/second_factor_enrol.html", context)


@for_any_login
@require_POST
def forget(request: HttpRequest) -> HttpResponse:
    """Remove one's own second factor; whoever must have one is asked for a new one at once."""
    second_factor.remove(person(request), by=by(request))
    messages.success(request, _("The second factor is removed."))
    return redirect("account")


def _wanted(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe else reverse("overview")
