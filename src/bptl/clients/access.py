"""A service as somebody may use it: where it is, with whose credentials, over which kept connections."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from requests import PreparedRequest, Session
from requests.auth import AuthBase


class Kind(StrEnum):
    """What API a service speaks: the words that zgw-consumers and the existing BPTL use for it (``api_type``)."""

    ZAKEN = "zrc"
    CATALOGI = "ztc"
    DOCUMENTEN = "drc"
    BESLUITEN = "brc"
    AUTORISATIES = "ac"
    NOTIFICATIES = "nrc"
    CONTACTMOMENTEN = "cmc"
    KLANTEN = "kc"
    VERZOEKEN = "vrc"
    OTHER = "orc"


class DataClass(StrEnum):
    """How much of what is said to and by a service may be kept with a task."""

    ORDINARY = "ordinary"
    """Bodies, without secrets and BSNs."""
    PERSONAL = "personal"
    """Bodies, without secrets, BSNs and what says who somebody is or where they live."""
    SECRET = "secret"  # noqa: S105 - the name of a class
    """No bodies."""


class Anonymous(AuthBase):
    """Adds nothing. Given to requests, because without any it would look for a login in ~/.netrc."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request as it is."""
        return request


@dataclass(frozen=True, slots=True)
class Access:
    """``address`` is the root of the API as it stands in data, and ends with a slash; ``outway`` is where requests
    really go when an NLX or FSC outway stands before it. ``session`` keeps the connections and holds no credentials,
    since all applications share it; ``auth`` adds those of one application. ``timeout`` is seconds, for a whole call.
    """

    service: str
    kind: Kind
    address: str
    session: Session = field(repr=False)
    auth: AuthBase = field(default_factory=Anonymous, repr=False)
    outway: str = ""
    timeout: float = 10.0
    data_class: DataClass = DataClass.ORDINARY

    def owns(self, url: str) -> bool:
        """Whether an absolute address lies within this service."""
        return within(url, self.address)


def within(url: str, root: str) -> bool:
    """Whether an absolute address lies below a root, which ends with a slash."""
    # Dots in a path may lead out of the root again, encoded ones too.
    path = url.lower().replace("%2e", ".").partition("?")[0]
    return url.startswith(root) and "/.." not in path and "\\" not in path
