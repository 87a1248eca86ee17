"""The Documenten API (ZGW): informatieobjecten (documents), their content, and the locks under which they are changed.

Written after its description 1.4.2, and used with 1.1 and later (1.0 has no bestandsdelen, and needs none for what is
small). Resources are dicts as the API has them; ``informatieobject`` is always the address of one, of any version.

Only a locked informatieobject can be changed, and only by who shows its lock. A lock is told once, in the answer to the
call that set it: a GET says ``locked``, never by whom or with what. One exception: an informatieobject of which parts
(bestandsdelen) are awaited tells the lock beside each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from bptl.clients.access import Kind
from bptl.clients.client import ServiceClient
from bptl.clients.errors import Unreadable

Resource = dict[str, Any]

SLOWEST_UPLOAD = 200_000
"""Bytes of content that go out in a second at least: for them a call has more time than the service's."""

DOWNLOAD_SECONDS = 60.0
"""How long a download may take, where the service has less: its size is known when it is there."""

LIST = "enkelvoudiginformatieobjecten"


class DocumentenClient(ServiceClient):
    """Every method raises bptl.clients.errors.ServiceError. Methods named by a plural read all pages."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.DOCUMENTEN})

    def informatieobject(self, informatieobject: str) -> Resource:
        """One informatieobject, in its last version unless the address names another."""
        return self.fetch(informatieobject)

    def informatieobjecten(self, *, bronorganisatie: str, identificatie: str) -> Iterator[Resource]:
        """The informatieobjecten of an organisation (RSIN) with this identificatie: none or one."""
        return self.pages(LIST, query={"bronorganisatie": bronorganisatie, "identificatie": identificatie})

    def create_informatieobject(self, body: Mapping[str, Any]) -> Resource:
        """A new informatieobject.

        With ``inhoud`` (base64) it is complete. With ``inhoud`` null and a ``bestandsomvang`` above 0 it is locked, the
        answer has its ``lock``, and it waits for the content of its ``bestandsdelen``.
        """
        return self.create(LIST, body, timeout=self.upload_seconds(len(body.get("inhoud") or "")))

    def change_informatieobject(self, informatieobject: str, changes: Mapping[str, Any], *, lock: str) -> Resource:
        """A new version with ``changes``."""
        return self.change(_last(informatieobject), {**changes, "lock": lock})

    def upload_bestandsdeel(self, bestandsdeel: str, content: bytes, *, lock: str) -> None:
        """Give the content of one part; its size is the part's ``omvang``. Giving it again does no harm."""
        files = {"inhoud": ("inhoud", content, "application/octet-stream"), "lock": (None, lock)}
        self.call("PUT", bestandsdeel, files=files, timeout=self.upload_seconds(len(content)))

    def lock(self, informatieobject: str) -> str:
        """Lock it and answer the lock; Rejected with ``existing-lock`` when it is locked already."""
        path = _last(informatieobject) + "/lock"
        lock = self.create(path, {}).get("lock")
        if not isinstance(lock, str) or not lock:
            service = self.access.service
            raise Unreadable(
                f"{service} did not answer a lock to POST {path}", service=service, method="POST", url=path
            )
        return lock

    def unlock(self, informatieobject: str, lock: str) -> None:
        """Unlock it; Rejected with ``incorrect-lock-id`` for another lock, and for one that is not locked."""
        self.call("POST", _last(informatieobject) + "/unlock", body={"lock": lock})

    def content(self, informatieobject: str) -> bytes:
        """The whole content, at most bptl.clients.client.MOST_BYTES."""
        address, mark, query = informatieobject.partition("?")
        # The API answers 406 to who wants JSON.
        headers = {"Accept": "*/*"}
        seconds = max(DOWNLOAD_SECONDS, self.access.timeout)
        return self.call("GET", f"{address}/download{mark}{query}", headers=headers, timeout=seconds).body

    def upload_seconds(self, size: int) -> float:
        """How long a call may take that carries ``size`` bytes of content.

        A letter gets hardly more than any other call: what became of one that was cut off is asked when it must have
        given up, and until then its task waits.
        """
        return self.access.timeout + size / SLOWEST_UPLOAD


def _last(informatieobject: str) -> str:
    """The address without a version: only the last one can be locked and changed."""
    return informatieobject.partition("?")[0].rstrip("/")
