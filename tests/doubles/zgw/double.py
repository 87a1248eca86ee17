"""The double as a test has it.

    with ZgwDouble() as zgw:
        work = FakeWork(services={"zrc": zgw.access("zrc"), "ztc": zgw.access("ztc")})
        zgw.fault("/zaken/api/v1/zaken", kind="500-after")
        ...
        assert zgw.count("zaken", "ZAAK-1") == 1

In pytest the fixture ``zgw`` gives one and asserts afterwards that nothing violated the OpenAPI descriptions.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

from requests import PreparedRequest
from requests.auth import AuthBase

from bptl.clients.access import Access, Kind
from bptl.clients.session import open_session
from tests.doubles.zgw import objects
from tests.doubles.zgw.applications import Application, bearer
from tests.doubles.zgw.catalogue import Catalogue
from tests.doubles.zgw.faults import Fault, Faults
from tests.doubles.zgw.faults import Kind as FaultKind
from tests.doubles.zgw.messages import LINK, Answer, Json, Refusal, Request, exchanged
from tests.doubles.zgw.pipeline import Pipeline
from tests.doubles.zgw.server import Server
from tests.doubles.zgw.views import shown
from tests.doubles.zgw.world import World

LIMITED = Application("bptl", "een-geheim-van-bptl-van-lengte-48-0123456789abcdef", "token-of-bptl")
"""What BPTL usually is at a service."""

ALL_RIGHTS = Application(
    "beheer", "een-geheim-van-beheer-van-lengte-50-0123456789abcdef", "token-of-beheer", all_rights=True
)

ROOTS = {
    "zrc": "zaken/api/v1/",
    "ztc": "catalogi/api/v1/",
    "drc": "documenten/api/v1/",
    "brc": "besluiten/api/v1/",
    "ac": "autorisaties/api/v1/",
    "objects": "objects/api/v2/",
    "objecttypes": "objecttypes/api/v2/",
}


COMPONENTS = {"zaken": "zrc", "catalogi": "ztc", "documenten": "drc", "besluiten": "brc", "autorisaties": "ac"}


@dataclass(frozen=True)
class Seen:
    """One request as it came in. Names of ``headers`` are lower case; ``application`` is None when it was refused."""

    method: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    content: bytes
    application: str | None
    status: int


class ZgwDouble:
    """Zaken, Catalogi, Documenten, Besluiten, Autorisaties, Objects and Objecttypes at one address.

    ``violations`` holds what did not fit a description. ``catalogue`` has what is there from the start, and more can be
    added. ``validate=False`` looks at no description: for a demonstration.
    """

    def __init__(self, *, port: int = 0, validate: bool = True) -> None:
        self.world = World()
        self.violations: list[str] = []
        self.requests: list[Seen] = []
        self.applications: dict[str, Application] = {}
        self._faults = Faults()
        self._pipeline = Pipeline(self.world, self.applications, validate=validate, violated=self.violations.append)
        self._server = Server(
            ("127.0.0.1", port), handle=self._handle, take_fault=self._faults.take, wait=self._faults.wait
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        for application in (LIMITED, ALL_RIGHTS):
            self.add_application(application)
        self.catalogue = Catalogue(self.world, self.url_of)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="zgw double", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._faults.end()
        self._server.shutdown()
        self._server.cut_all()
        self._server.server_close()

    # addresses and credentials

    def root(self, alias: str) -> str:
        """The root of an API, by the word that services have for it (``zrc``, ``ztc``, …, ``objects``)."""
        return self.url + ROOTS[alias]

    def access(self, alias: str, application: Application = LIMITED) -> Access:
        """The service as an application may use it."""
        kind = Kind(alias) if alias in set(Kind) else Kind.OTHER
        root = self.root(alias)
        auth = _Token(application) if kind is Kind.OTHER else _Bearer(application)
        return Access(alias, kind, root, open_session(root), auth=auth)

    def add_application(self, application: Application, *, label: str = "") -> str:
        """Let one more call; the Autorisaties API shows it. Its address there.

        Raises ValueError for a secret that is too short for HS256 (RFC 7518, 3.2).
        """
        if len(application.secret.encode()) < 32:
            raise ValueError("a secret has at least 32 bytes")
        self.applications[application.client_id] = application
        record = {
            "clientIds": [application.client_id],
            "label": label or f"Applicatie {application.client_id}",
            "heeftAlleAutorisaties": application.all_rights,
            "autorisaties": list(_authorisations(application)),
        }
        with self.world.lock:
            return self.url_of(self.world.add("applicaties", record)["url"])

    # what a test arms

    def fault(
        self,
        path: str,
        *,
        kind: FaultKind,
        method: str = "",
        times: int = 1,
        seconds: float = 30.0,
        until: threading.Event | None = None,
        retry_after: int | None = None,
    ) -> Fault:
        """The next ``times`` calls of a path (a pattern, ``*`` fits anything) meet this fault; ``met`` counts them."""
        fault = Fault(path, kind, method, times, seconds, until, retry_after)
        return self._faults.add(fault)

    def clear_faults(self) -> None:
        """From now on all is well."""
        self._faults.clear()

    def advance(self, **by: float) -> None:
        """Move the clock, as timedelta says it."""
        with self.world.lock:
            self.world.ahead += timedelta(**by)

    def part_size(self, size: int) -> None:
        """Bytes of each bestandsdeel of large documents."""
        self.world.part_size = size

    @contextmanager
    def violations_expected(self) -> Iterator[list[str]]:
        """What does not fit meanwhile is meant, and given to the test."""
        before = list(self.violations)
        found: list[str] = []
        try:
            yield found
        finally:
            found += self.violations[len(before) :]
            self.violations[:] = before

    # what a test finds out

    def count(self, name: str, of: str | None = None) -> int:
        """How many of a collection were ever made: of one identificatie (of the zaak, document or besluit), or all."""
        with self.world.lock:
            made = self.world.made.items()
            return sum(number for (where, whose), number in made if where == name and of in {None, whose})

    def all(self, name: str) -> list[Json]:
        """What a collection holds now, as its API shows it."""
        with self.world.lock:
            found = [shown(self.world, record) for record in self.world.all(name)]
        answer: list[Json] = exchanged(found, f"{LINK}/", self.url)
        return answer

    def get(self, url: str) -> Json:
        """One record by its address, as its API shows it."""
        with self.world.lock:
            found = shown(self.world, self.world.linked(exchanged(url, self.url, f"{LINK}/")))
        answer: Json = exchanged(found, f"{LINK}/", self.url)
        return answer

    def calls(self, method: str, path: str) -> list[Seen]:
        """The requests to a path, in the order in which they were answered."""
        return [seen for seen in list(self.requests) if (seen.method, seen.path) == (method, path)]

    def url_of(self, link: str) -> str:
        """A link of the world as an address at this host."""
        return link.replace(LINK, self.url.rstrip("/"), 1)

    # more of the world

    def add_objecttype(self, name: str, *, labels: Json | None = None, schemas: Sequence[Json] = ({},)) -> str:
        """An objecttype with a version for each schema; its address."""
        with self.world.lock:
            today = self.world.today()
            link = objects.add_type(self.world, name, labels=labels or {}, schemas=list(schemas), today=today)
        return self.url_of(link)

    def add_object(self, objecttype: str, data: Json) -> str:
        """An object with these data; its address."""
        with self.world.lock:
            inner = exchanged([objecttype, data], self.url, f"{LINK}/")
            return self.url_of(objects.add_object(self.world, inner[0], inner[1]))

    def _handle(self, request: Request) -> Answer:
        try:
            answer, application = self._pipeline.answer(request)
        except Exception:  # noqa: BLE001 - whatever the double itself does wrong must fail the test that met it
            self.violations.append(f"{request.method} {request.path} broke the double:\n{traceback.format_exc()}")
            answer, application = Refusal(500, "error").answer(), None
        self.requests.append(
            Seen(
                request.method,
                request.path,
                request.query,
                request.headers,
                request.content,
                application.client_id if application else None,
                answer.status,
            )
        )
        return answer


def _authorisations(application: Application) -> Iterator[Json]:
    """What the Autorisaties API shows of a limited application; one with all rights has none of its own."""
    for api, kind in COMPONENTS.items() if not application.all_rights else ():
        scopes = sorted(scope for scope in application.scopes if scope.startswith(f"{api}."))
        if scopes:
            yield {"component": kind, "componentWeergave": f"{api.title()} API", "scopes": scopes}


class _Bearer(AuthBase):
    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {bearer(self._application)}"
        return request


class _Token(AuthBase):
    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Token {self._application.token}"
        return request
