"""Logging in by the identity provider. Whatever goes wrong there ends on a page, from which a password still works."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from bptl.accounts import audit, oidc
from bptl.accounts.oidc import ProviderUnavailable
from bptl.lib.log import get_logger
from bptl.web.acting import address

log = get_logger(__name__)


class Ask(OIDCAuthenticationRequestView):  # type: ignore[misc] # has no types
    """Sends the browser to the provider."""

    get_settings = staticmethod(oidc.setting)

    def __init__(self, **kwargs: Any) -> None:
        # Not the library's, which would ask for the address of the provider before anybody asks for this page.
        super(OIDCAuthenticationRequestView, self).__init__(**kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        """To the provider, or to the page that says that it is away."""
        if not oidc.configured():
            raise Http404
        try:
            self.OIDC_OP_AUTH_ENDPOINT = oidc.setting("OIDC_OP_AUTHORIZATION_ENDPOINT")
            self.OIDC_RP_CLIENT_ID = oidc.setting("OIDC_RP_CLIENT_ID")
            answer: HttpResponse = super().get(request)
        except ProviderUnavailable as error:
            return _failed(request, error.reason)
        return answer


class Callback(OIDCAuthenticationCallbackView):  # type: ignore[misc] # has no types
    """Where the provider sends the browser back to."""

    get_settings = staticmethod(oidc.setting)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Logged in, or to the page that says that it did not work."""
        if not oidc.configured():
            raise Http404
        try:
            answer: HttpResponse = super().get(request)
        except ProviderUnavailable as error:
            return _failed(request, error.reason)
        except SuspiciousOperation as error:
            return _failed(request, str(error))
        return answer

    def login_failure(self) -> HttpResponse:
        """The provider said no, or knows nobody."""
        return _failed(self.request, self.request.GET.get("error", "refused"))


@require_GET
def failed(request: HttpRequest) -> HttpResponse:
    """What to do when logging in by the provider does not work."""
    return render(request, "web/oidc_failed.html", status=200)


@require_GET
def ended(request: HttpRequest) -> HttpResponse:
    """Logged out here; the session of the provider may live on."""
    back = request.build_absolute_uri(reverse("login"))
    return render(request, "web/oidc_ended.html", {"address": oidc.logout_address(back)})


def _failed(request: HttpRequest, reason: str) -> HttpResponse:
    log.warning("login.provider_failed", reason=reason)
    audit.record("login.failed", by=audit.By("", address(request)), detail={"provider": reason[:200]})
    return redirect("oidc-failed")
