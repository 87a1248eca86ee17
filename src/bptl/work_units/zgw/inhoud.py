"""A new document and its content: in one request when it is small, else in the parts that the service asks for."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from bptl.clients.documenten import DocumentenClient
from bptl.work_units.contract import Happened, NeverAgain, Uncertain, Work
from bptl.work_units.zgw import locks
from bptl.work_units.zgw.effects import send
from bptl.work_units.zgw.locks import Lock

LARGEST_AT_ONCE = 10 * 1024 * 1024
"""Bytes that are sent within the JSON of one request; proxies before the API refuse larger ones."""

CREATE = "create-informatieobject"


def create(work: Work, drc: DocumentenClient, fields: Mapping[str, Any], content: bytes, *, ours: bool) -> str:
    """The address of a new informatieobject with ``fields`` (bronorganisatie and identificatie among them), complete.

    ``ours`` says that nobody else gives an identificatie like this one.
    """
    made = _create(work, drc, fields, content, ours=ours)
    if made["bestandsdelen"]:
        _upload(work, drc, made, content)
    if made["lock"]:
        locks.give_back(work, drc, Lock(made["url"], 1, made["lock"]))
    return str(made["url"])


def _create(
    work: Work, drc: DocumentenClient, fields: Mapping[str, Any], content: bytes, *, ours: bool
) -> dict[str, Any]:
    """Its url, and the lock and bestandsdelen of one whose content is awaited."""
    at_once = len(content) <= LARGEST_AT_ONCE
    body: dict[str, Any] = {
        **fields,
        "bestandsomvang": len(content),
        "inhoud": base64.b64encode(content).decode() if at_once else None,
    }
    by = {name: str(fields[name]) for name in ("bronorganisatie", "identificatie")}

    def find() -> Happened | None:
        found = next(drc.informatieobjecten(**by), None)
        if found is None or not (ours or _alike(found, body)):
            return None
        made = _made(found)
        if not at_once and found["locked"] and not made["lock"]:
            raise Uncertain(
                CREATE,
                f"{found['url']} waits for its content under a lock, and the answer that told it was lost: delete it "
                "(unlock it before, with the right documenten.geforceerd-unlock). Then say that it did not happen",
            )
        return Happened(made)

    arguments = {**by, "bestandsomvang": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    made: dict[str, Any] = send(
        work,
        drc,
        CREATE,
        lambda: _made(drc.create_informatieobject(body)),
        arguments=arguments,
        reconcile=find,
        timeout=drc.upload_seconds(len(body["inhoud"] or "")),
    )
    return made


def _made(informatieobject: Mapping[str, Any]) -> dict[str, Any]:
    parts = sorted(informatieobject.get("bestandsdelen") or [], key=lambda part: int(part["volgnummer"]))
    # The answer to a create tells the lock; later it stands beside each part.
    lock = informatieobject.get("lock") or next((part["lock"] for part in parts if part.get("lock")), "")
    return {
        "url": informatieobject["url"],
        "lock": lock,
        "bestandsdelen": [{name: part[name] for name in ("url", "volgnummer", "omvang")} for part in parts],
    }


def _alike(found: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    return all(found.get(name) == body.get(name) for name in ("titel", "auteur", "bestandsnaam", "bestandsomvang"))


def _upload(work: Work, drc: DocumentenClient, made: Mapping[str, Any], content: bytes) -> None:
    sizes = [int(part["omvang"]) for part in made["bestandsdelen"]]
    if sum(sizes) != len(content):
        raise NeverAgain(
            f"{made['url']} awaits {sum(sizes)} bytes, and the content has {len(content)}: delete that document, and "
            "settle its effect as not happened"
        )
    begin = 0
    for part, size in zip(made["bestandsdelen"], sizes, strict=True):
        _upload_part(work, drc, made, part, content[begin : begin + size])
        begin += size


def _upload_part(
    work: Work, drc: DocumentenClient, made: Mapping[str, Any], part: Mapping[str, Any], content: bytes
) -> None:
    def find() -> Happened | None:
        awaited = {one["volgnummer"]: one["voltooid"] for one in drc.informatieobject(made["url"])["bestandsdelen"]}
        # A part that is not awaited any more belongs to a document that was completed and unlocked.
        return Happened() if awaited.get(part["volgnummer"], True) else None

    send(
        work,
        drc,
        f"upload-bestandsdeel {part['volgnummer']}",
        lambda: drc.upload_bestandsdeel(part["url"], content, lock=made["lock"]),
        arguments={"bestandsdeel": part["url"], "omvang": part["omvang"]},
        reconcile=find,
        timeout=drc.upload_seconds(len(content)),
    )
