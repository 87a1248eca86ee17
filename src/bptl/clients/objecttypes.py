"""The Objecttypes API: kinds of objects, and the versions of their JSON schema.

Written after its description 2.3.0. Resources are dicts as the API has them; ``objecttype`` is always the
address of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from bptl.clients.access import Kind
from bptl.clients.client import ServiceClient

Resource = dict[str, Any]


class ObjecttypesClient(ServiceClient):
    """Every method raises bptl.clients.errors.ServiceError. Methods named by a plural read all pages."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.OTHER})

    def objecttype(self, objecttype: str) -> Resource:
        """One objecttype."""
        return self.fetch(objecttype)

    def objecttypes(self) -> Iterator[Resource]:
        """Every objecttype."""
        return self.pages("objecttypes")

    def versions(self, objecttype: str) -> Iterator[Resource]:
        """Every version of an objecttype, drafts and deprecated ones too."""
        return self.pages(objecttype.rstrip("/") + "/versions")

    def newest_version(self, objecttype: str) -> Resource | None:
        """The published version with the highest number (10 comes after 9); None when none was published."""
        published = [version for version in self.versions(objecttype) if version.get("status") == "published"]
        return max(published, key=lambda version: int(version["version"]), default=None)
