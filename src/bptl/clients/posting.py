"""A POST to an address that a person or a process named: into no network of others, with the errors of calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network

from bptl.clients.errors import NoAnswer, NotSent, raise_for
from bptl.lib import pinned
from bptl.lib.http import AnswerUnknown, NeverSent
from bptl.lib.pinned import IPAddress

METHOD = "POST"


class ForbiddenNetwork(NotSent):
    """The address lies in a network into which nothing is sent."""

    again = False


def public_or_in(networks: Sequence[str]) -> Callable[[IPAddress], bool]:
    """Whether something may be sent to an IP address: a public one, or one of these networks (CIDR)."""
    allowed = [ip_network(network) for network in networks]

    def may_reach(address: IPAddress) -> bool:
        return pinned.is_public(address) or any(pinned.judged(address) in network for network in allowed)

    return may_reach


def post(
    url: str,
    *,
    service: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    may_reach: Callable[[IPAddress], bool],
    authorities: str | None = None,
    seconds: float = pinned.SECONDS,
) -> int:
    """Send ``body`` and answer the status, a 2xx. See bptl.lib.pinned.send for the rest.

    Raises ServiceError: ForbiddenNetwork, NotSent, NoAnswer, or what the status means. Redirects are not followed.
    Texts and ``url`` of errors name scheme and host only.
    """
    place = pinned.place_of(url)
    try:
        answer = pinned.send(
            METHOD,
            url,
            headers={"User-Agent": "BPTL", **headers},
            body=body,
            may_reach=may_reach,
            authorities=authorities,
            seconds=seconds,
        )
    except pinned.ForbiddenAddress as error:
        raise ForbiddenNetwork(
            f"{place} leads to {error.address}, which is not a public address: name its network in the setting "
            "BPTL_WEBHOOK_NETWORKS when it is meant",
            service=service,
            method=METHOD,
            url=place,
        ) from error
    except NeverSent as error:
        raise NotSent(
            f"{place} is not reached: {error.__cause__}", service=service, method=METHOD, url=place
        ) from error
    except AnswerUnknown as error:
        raise NoAnswer(f"{place} gave no answer: {error}", service=service, method=METHOD, url=place) from error
    raise_for(answer, service=service, method=METHOD, url=place)
    return answer.status
