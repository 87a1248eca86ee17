"""What the double remembers: records in collections, how many were made, and its clock."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.doubles.zgw.messages import LINK, Json, invalid, not_found

AMSTERDAM = ZoneInfo("Europe/Amsterdam")

PART_SIZE = 4 * 1024 * 1024
"""Bytes of a bestandsdeel; a test may make them smaller."""

COLLECTIONS = {
    "zaken": "/zaken/api/v1/zaken",
    "statussen": "/zaken/api/v1/statussen",
    "resultaten": "/zaken/api/v1/resultaten",
    "rollen": "/zaken/api/v1/rollen",
    "zaakinformatieobjecten": "/zaken/api/v1/zaakinformatieobjecten",
    "zaakobjecten": "/zaken/api/v1/zaakobjecten",
    "zaakeigenschappen": "zaakeigenschappen",  # below their zaak
    "zaakbesluiten": "besluiten",  # below their zaak
    "catalogussen": "/catalogi/api/v1/catalogussen",
    "zaaktypen": "/catalogi/api/v1/zaaktypen",
    "statustypen": "/catalogi/api/v1/statustypen",
    "resultaattypen": "/catalogi/api/v1/resultaattypen",
    "roltypen": "/catalogi/api/v1/roltypen",
    "eigenschappen": "/catalogi/api/v1/eigenschappen",
    "informatieobjecttypen": "/catalogi/api/v1/informatieobjecttypen",
    "zaaktype-informatieobjecttypen": "/catalogi/api/v1/zaaktype-informatieobjecttypen",
    "besluittypen": "/catalogi/api/v1/besluittypen",
    "enkelvoudiginformatieobjecten": "/documenten/api/v1/enkelvoudiginformatieobjecten",
    "bestandsdelen": "/documenten/api/v1/bestandsdelen",
    "objectinformatieobjecten": "/documenten/api/v1/objectinformatieobjecten",
    "gebruiksrechten": "/documenten/api/v1/gebruiksrechten",
    "besluiten": "/besluiten/api/v1/besluiten",
    "besluitinformatieobjecten": "/besluiten/api/v1/besluitinformatieobjecten",
    "applicaties": "/autorisaties/api/v1/applicaties",
    "objects": "/objects/api/v2/objects",
    "objecttypes": "/objecttypes/api/v2/objecttypes",
}
"""Name → address. Where a record has parents, its address begins with theirs."""

SHOW_UUID = frozenset(
    {
        *("zaken", "statussen", "resultaten", "rollen", "zaakinformatieobjecten", "zaakobjecten", "zaakeigenschappen"),
        *("zaakbesluiten", "objects", "objecttypes"),
    }
)
"""Records that say their uuid beside their url."""


class World:
    """Whoever reads or changes it holds ``lock``. Names that begin with an underscore are not shown to anybody."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.ahead = timedelta()
        self.part_size = PART_SIZE
        self.made: Counter[tuple[str, str]] = Counter()
        self._records: dict[str, dict[str, Json]] = {name: {} for name in COLLECTIONS}
        self._by_url: dict[str, tuple[str, Json]] = {}
        self._numbers: Counter[str] = Counter()

    # the clock

    def now(self) -> datetime:
        """Our time plus what a test has moved it."""
        return datetime.now(UTC) + self.ahead

    def today(self) -> date:
        """In the Netherlands."""
        return self.now().astimezone(AMSTERDAM).date()

    def moment(self) -> str:
        """Now, as the APIs write it."""
        return said(self.now())

    # records

    def add(self, name: str, record: Json, *, below: str = "", of: str = "") -> Json:
        """Give a record its url and uuid and keep it; it counts as made for ``of``, an identificatie."""
        key = str(uuid.uuid4())
        path = COLLECTIONS[name]
        url = f"{below}/{path}/{key}" if below else f"{LINK}{path}/{key}"
        kept = {"url": url, "_uuid": key, **({"uuid": key} if name in SHOW_UUID else {}), **record}
        self._records[name][key] = kept
        self._by_url[url] = (name, kept)
        self.made[name, of] += 1
        return kept

    def remove(self, name: str, record: Json) -> None:
        """Forget a record."""
        del self._records[name][record["_uuid"]]
        del self._by_url[record["url"]]

    def all(self, name: str, **equal: Any) -> Iterator[Json]:
        """The records of a collection, oldest first, whose fields are as given."""
        for record in list(self._records[name].values()):
            if all(record.get(field) == value for field, value in equal.items()):
                yield record

    def get(self, name: str, key: str) -> Json:
        """One record by its uuid; raises Refusal (404)."""
        try:
            return self._records[name][key]
        except KeyError:
            raise not_found() from None

    def at(self, url: Any, name: str, *, field: str) -> Json:
        """The record that the link in ``field`` leads to; raises Refusal (400)."""
        if not isinstance(url, str) or ("://" not in url and not url.startswith(LINK)):
            raise invalid(field, "bad-url", "Voer een geldige URL in.")
        if not url.startswith(LINK):
            raise invalid(field, "unknown-service", "De service van deze URL is niet bekend.")
        found, record = self._by_url.get(url, ("", {}))
        if found != name:
            raise invalid(field, "does_not_exist", "Het object bestaat niet.")
        return record

    def linked(self, url: str) -> Json:
        """The record that a link of our own leads to."""
        return self._by_url[url][1]

    def knows(self, url: str) -> bool:
        """Whether a link of our own leads anywhere."""
        return url in self._by_url

    def collection(self, record: Json) -> str:
        """The name of the collection that a record is in."""
        return self._by_url[record["url"]][0]

    def number(self, name: str) -> int:
        """The next number of a row of its own."""
        self._numbers[name] += 1
        return self._numbers[name]


def said(moment: datetime) -> str:
    """As the APIs write a moment."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_moment(text: str, *, field: str) -> datetime:
    """A moment as a client writes it; raises Refusal (400)."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise invalid(field, "invalid", "Datetime heeft een ongeldig formaat.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=AMSTERDAM)
