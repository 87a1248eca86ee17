"""What happens to a request, in the order of the reference implementation: path, rights, form, coordinates, rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.doubles.zgw import (
    autorisaties,
    besluiten,
    catalogi,
    descriptions,
    documenten,
    objects,
    rules,
    statussen,
    zaak_relations,
    zaken,
)
from tests.doubles.zgw.applications import Application, of_bearer, of_token
from tests.doubles.zgw.descriptions import Misfit
from tests.doubles.zgw.messages import Answer, Param, Refusal, Request
from tests.doubles.zgw.routing import Api, Asked, Route
from tests.doubles.zgw.world import World

APIS: Mapping[str, Api] = {
    api.name: api
    for api in (
        zaken.api,
        catalogi.api,
        documenten.api,
        besluiten.api,
        autorisaties.api,
        objects.api,
        objects.types,
    )
}
MODULES = (statussen, zaak_relations)
"""They register routes of the Zaken API when they are imported."""

CRS = "EPSG:4326"
HTML_404 = Answer(404, b"<!doctype html>\n<title>Not Found</title>\n<h1>Not Found</h1>\n", content_type="text/html")


class Pipeline:
    """``violated`` is told what does not fit the descriptions; with ``validate`` off nobody looks."""

    def __init__(
        self,
        world: World,
        applications: dict[str, Application],
        *,
        validate: bool,
        violated: Callable[[str], None],
    ) -> None:
        self._world = world
        self._applications = applications
        self._validate = validate
        self._violated = violated

    def answer(self, request: Request) -> tuple[Answer, Application | None]:
        """The answer, and who asked if that is known."""
        api = next((one for one in APIS.values() if request.path.startswith(f"{one.prefix}/")), None)
        if api is None or request.path.endswith("/"):
            return HTML_404, None
        application: Application | None = None
        try:
            method = "GET" if request.method == "HEAD" else request.method
            route, parts, methods = api.find(method, request.path[len(api.prefix) :])
            if route is None and not methods:
                return HTML_404, None
            application = self._who(api, request)
            if route is None:
                raise Refusal(405, "method_not_allowed", f'Methode "{request.method}" niet toegestaan.')
            asked = Asked(self._world, request, application)
            answer = self._carry_out(api, route, asked, parts)
        except Refusal as refusal:
            answer = refusal.answer()
        return answer, application

    def _who(self, api: Api, request: Request) -> Application:
        header = request.headers.get("authorization", "")
        if api.scheme == "token":
            return of_token(header, self._applications)
        return of_bearer(header, self._applications, now=self._world.now().timestamp())

    def _carry_out(self, api: Api, route: Route, asked: Asked, parts: Mapping[str, str]) -> Answer:
        request = asked.request
        _check_accept(request, route)
        _check_crs(request, route)
        _check_query(api, route, request)
        _check_type(request)
        if route.scope:
            rules.may(asked, route.scope)
        if self._validate:
            self._check_request(api, request)
        with self._world.lock:
            answer = route.handler(asked, **parts)
        if route.crs:
            answer.headers["Content-Crs"] = CRS
        if request.method == "HEAD":
            answer.body = None
        forgotten = set(request.query) - asked.looked_at
        if forgotten and answer.status < 300:
            self._violated(f"the double does not know {sorted(forgotten)} of {request.method} {request.path}")
        if self._validate and answer.status < 300:
            self._check_answer(api, request, answer)
        return answer

    def _check_request(self, api: Api, request: Request) -> None:
        try:
            descriptions.check_request(api.name, request)
        except Misfit as misfit:
            said = f"does not fit the OpenAPI description: {misfit}"
            self._violated(f"the request {request.method} {request.path} {said}")
            params = misfit.params or (Param("nonFieldErrors", "invalid", str(misfit)),)
            raise Refusal(400, "invalid", said, params=params) from None

    def _check_answer(self, api: Api, request: Request, answer: Answer) -> None:
        try:
            descriptions.check_answer(api.name, request, answer)
        except Misfit as misfit:
            said = f"does not fit the OpenAPI description: {misfit}"
            self._violated(f"the double's own answer to {request.method} {request.path} {said}")


def _check_accept(request: Request, route: Route) -> None:
    accepted = [part.partition(";")[0].strip() for part in request.headers.get("accept", "*/*").split(",")]
    main = route.produces.partition("/")[0]
    if not {"*/*", f"{main}/*", route.produces} & set(accepted):
        raise Refusal(406, "not_acceptable", "Kan niet voldoen aan de opgegeven Accept header.")


def _check_crs(request: Request, route: Route) -> None:
    wanted = {"": (), "accept": ("accept-crs",), "both": ("accept-crs", "content-crs")}[route.crs]
    for name in wanted:
        if name == "content-crs" and not request.content:
            continue
        given = request.headers.get(name)
        if given is None:
            raise Refusal(412, "precondition_failed", f"'{name.title()}' header ontbreekt")
        if given != CRS:
            raise Refusal(406, "not_acceptable", f"Ongeldige {name.title()}: alleen {CRS}.")


def _check_query(api: Api, route: Route, request: Request) -> None:
    known = descriptions.query_parameters(api.name, route.method, route.template)
    unknown = sorted(set(request.query) - known)
    if unknown:
        params = tuple(
            Param("nonFieldErrors", "unknown-parameters", f"Onbekende query parameter: {one}") for one in unknown
        )
        raise Refusal(400, "invalid", "Invalid input.", params=params)


def _check_type(request: Request) -> None:
    if request.content and request.content_type not in {"application/json", "multipart/form-data"}:
        raise Refusal(415, "unsupported_media_type", f'Ongeldige media type "{request.content_type}" in aanvraag.')
    if request.content_type == "application/json":
        _ = request.body  # what is no JSON is refused here
