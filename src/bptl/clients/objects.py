"""The Objects API: objects with a history of records, whose data follow the JSON schema of their objecttype.

Written after its description 2.7.0; ``data_attr`` needs 2.5 or later. Resources are dicts as the API has them;
``object`` is always the address of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from bptl.clients.access import Kind
from bptl.clients.client import ServiceClient
from bptl.clients.zgw import READ_COORDINATES, WRITE_COORDINATES

Resource = dict[str, Any]

PAGE_SIZE = 100


class ObjectsClient(ServiceClient):
    """Every method raises bptl.clients.errors.ServiceError. Methods named by a plural read all pages."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.OTHER})

    def object(self, object: str) -> Resource:
        """One object with its record of today."""
        return self.fetch(object, headers=READ_COORDINATES)

    def objects(self, objecttype: str, *, data_attr: Sequence[str] = ()) -> Iterator[Resource]:
        """The objects of a type (an address) that fit all of ``data_attr``: ``naam__exact__waarde``, where ``exact``
        may also be ``icontains``, ``in``, ``gt``, ``gte``, ``lt`` or ``lte``."""
        query = {"type": objecttype, "data_attr": data_attr, "pageSize": PAGE_SIZE}
        return self.pages("objects", query=query, headers=READ_COORDINATES)

    def create_object(self, body: Mapping[str, Any]) -> Resource:
        """A new object with its first record."""
        return self.create("objects", body, headers=WRITE_COORDINATES)

    def change_object(self, object: str, changes: Mapping[str, Any]) -> Resource:
        """The object with a new record: the old one with ``changes``, merged into its data."""
        return self.change(object, changes, headers=WRITE_COORDINATES)
