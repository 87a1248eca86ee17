"""What the client of the Documenten API knows that its description does not say."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from bptl.clients.access import Access, Kind
from bptl.clients.documenten import SLOWEST_UPLOAD, DocumentenClient
from bptl.clients.errors import ForeignAddress, NoAnswer, Unreadable
from bptl.clients.session import open_session
from bptl.work_units.testing import FakeWork
from tests.doubles.zgw.double import ZgwDouble
from tests.integration.work_units.document import DOCUMENTEN, document, drc


def test_content_is_downloaded_whatever_json_the_others_want(zgw: ZgwDouble) -> None:
    informatieobject = document(zgw, inhoud="JVBERi0x", bestandsomvang=6)
    assert drc(zgw).content(informatieobject) == b"%PDF-1"
    assert drc(zgw).content(f"{informatieobject}?versie=1") == b"%PDF-1"


def test_a_document_is_found_by_its_number(zgw: ZgwDouble) -> None:
    informatieobject = document(zgw, identificatie="BRIEF-1")
    there = zgw.get(informatieobject)
    (found,) = drc(zgw).informatieobjecten(bronorganisatie=there["bronorganisatie"], identificatie="BRIEF-1")
    assert found["url"] == informatieobject
    assert list(drc(zgw).informatieobjecten(bronorganisatie=there["bronorganisatie"], identificatie="BRIEF-2")) == []


def test_a_document_elsewhere_is_not_locked(zgw: ZgwDouble) -> None:
    with pytest.raises(ForeignAddress):
        drc(zgw).lock("https://elders.example.nl/enkelvoudiginformatieobjecten/2f6bb9b6-8a62-4e4c-8e42-9c7b1a3e5d11")


@pytest.fixture
def hasty(zgw: ZgwDouble) -> DocumentenClient:
    """A client whose service answers other calls within half a second."""
    return DocumentenClient(replace(zgw.access("drc"), timeout=0.5), FakeWork())


def test_a_letter_has_the_time_of_any_other_call(zgw: ZgwDouble, hasty: DocumentenClient) -> None:
    """After a crash its task waits until the call must have given up."""
    zgw.fault(DOCUMENTEN, kind="slow-after", seconds=5)
    with pytest.raises(NoAnswer):
        document(zgw, by=hasty)


def test_a_large_file_has_more_time(zgw: ZgwDouble, hasty: DocumentenClient) -> None:
    zgw.fault(DOCUMENTEN, kind="slow-after", seconds=1)
    content = bytes(3 * SLOWEST_UPLOAD)
    assert document(zgw, by=hasty, inhoud=b64encode(content).decode(), bestandsomvang=len(content))


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"lock": ""}')

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def forgetful() -> Iterator[str]:
    """A service that locks and does not tell with what."""
    server = HTTPServer(("127.0.0.1", 0), _Answer)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_lock_that_was_not_told_is_no_lock(forgetful: str) -> None:
    access = Access("drc", Kind.DOCUMENTEN, forgetful, open_session(forgetful))
    with pytest.raises(Unreadable, match="did not answer a lock"):
        DocumentenClient(access, FakeWork()).lock(f"{forgetful}enkelvoudiginformatieobjecten/1")
