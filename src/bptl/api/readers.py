"""The description of the API, and two pages that show it; for who is logged in, or has a token."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularYAMLAPIView
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import NotAuthenticated
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bptl.api.authentication import PasswordAuthentication, TokenAuthentication
from bptl.api.rights import Right

# People come with a session; the token is first, because a 401 asks for what comes first.
LOGINS: list[type[BaseAuthentication]] = [TokenAuthentication, PasswordAuthentication, SessionAuthentication]


class JSONDescription(SpectacularJSONAPIView):
    """OpenAPI 3.1 in JSON."""

    authentication_classes = LOGINS
    right = Right(role=None)


class YAMLDescription(SpectacularYAMLAPIView):
    """OpenAPI 3.1 in YAML."""

    authentication_classes = LOGINS
    right = Right(role=None)


class Reader(APIView):
    """A page that shows the description; who is not logged in comes to the login page first."""

    authentication_classes = LOGINS
    right = Right(role=None)
    renderer_classes = [TemplateHTMLRenderer]
    schema = None
    template_name = ""
    policy = ""

    def get(self, request: Request) -> Response:
        """The page."""
        headers = {"Content-Security-Policy": self.policy} if self.policy else None
        return Response({}, template_name=self.template_name, headers=headers)

    def handle_exception(self, exc: Exception) -> HttpResponseBase:  # type: ignore[override]
        """People are sent to the login page."""
        if isinstance(exc, NotAuthenticated):
            return redirect_to_login(self.request.get_full_path())
        answer: Any = super().handle_exception(exc)
        return answer  # type: ignore[no-any-return]


class Root(Reader):
    """Where people land who leave out the rest of the address."""

    def get(self, request: Request) -> HttpResponseBase:  # type: ignore[override]
        """To the page for reading."""
        return redirect("api-redoc")


class SwaggerUI(Reader):
    """Swagger UI, which can make calls too."""

    template_name = "api/swagger.html"


class Redoc(Reader):
    """Redoc, which is for reading. It makes style elements and a worker of its own script as it starts."""

    template_name = "api/redoc.html"
    policy = (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; worker-src blob:; "
        "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
