"""A service as somebody may use it: where it is, with whose credentials, over which kept connections."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from requests import PreparedRequest, Session
from requests.auth import AuthBase

from bptl.clients.kinds import DataClass as DataClass  # noqa: PLC0414 - who has an Access has its words
from bptl.clients.kinds import Kind as Kind  # noqa: PLC0414


class Anonymous(AuthBase):
    """Adds nothing. Given to requests, because without any it would look for a login in ~/.netrc."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """The request as it is."""
        return request


@dataclass(frozen=True, slots=True)
class Access:
    """``address`` is the root of the API as it stands in data, and ends with a slash; ``outway`` is where requests
    really go when an NLX or FSC outway stands before it. ``session`` keeps the connections and holds no credentials,
    since all applications share it; ``auth`` adds those of one application. ``timeout`` is seconds, for a whole call;
    one that takes longer than ``slow_after`` seconds is slow.
    """

    service: str
    kind: Kind
    address: str
    session: Session = field(repr=False)
    auth: AuthBase = field(default_factory=Anonymous, repr=False)
    outway: str = ""
    timeout: float = 10.0
    slow_after: float = math.inf
    data_class: DataClass = DataClass.ORDINARY

    def owns(self, url: str) -> bool:
        """Whether an absolute address lies within this service."""
        return within(url, self.address)


def within(url: str, root: str) -> bool:
    """Whether an absolute address lies below a root, which ends with a slash."""
    # Dots in a path may lead out of the root again, encoded ones too.
    path = url.lower().replace("%2e", ".").partition("?")[0]
    return url.startswith(root) and "/.." not in path and "\\" not in path
