"""What the clients of the ZGW APIs share: the coordinate system they ask for, and addresses of resources."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import UUID

COORDINATES = "EPSG:4326"
"""The one coordinate system (WGS 84) that every ZGW API must know."""

READ_COORDINATES = {"Accept-Crs": COORDINATES}
"""Headers of a request whose answer may hold a geometry: without them the answer is 412."""

WRITE_COORDINATES = {"Accept-Crs": COORDINATES, "Content-Crs": COORDINATES}
"""Headers of a request whose body may hold a geometry: needed even where it holds none."""


def uuid_of(url: str) -> str:
    """The UUID at the end of a resource's address; raises ValueError where there is none."""
    last = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    try:
        return str(UUID(last))
    except ValueError:
        raise ValueError(f"must be the address of one resource, which ends with its UUID, not {url!r}") from None
