"""The Autorisaties API, to read: the applications that may call, as it shows them."""

from __future__ import annotations

from tests.doubles.zgw import lists
from tests.doubles.zgw.messages import Answer, Json, not_found
from tests.doubles.zgw.routing import Api, Asked

api = Api("autorisaties", "v1", "ac")


@api.on("GET", "/applicaties", scope="autorisaties.lezen")
def list_applications(asked: Asked) -> Answer:
    """By client ids, of which one is enough."""
    filters = {"clientIds": _has_client}
    return lists.page(asked, lists.matching(asked, asked.world.all("applicaties"), filters))


@api.on("GET", "/applicaties/consumer", scope="autorisaties.lezen")
def get_consumer(asked: Asked) -> Answer:
    """The one of a client id; the description says an array, the reference implementation answers an object."""
    wanted = asked.first("clientId") or ""
    for application in asked.world.all("applicaties"):
        if wanted in application["clientIds"]:
            return lists.single(asked, application)
    raise not_found()


@api.on("GET", "/applicaties/{uuid}", scope="autorisaties.lezen")
def get_application(asked: Asked, uuid: str) -> Answer:
    """One application."""
    return lists.single(asked, asked.world.get("applicaties", uuid))


def _has_client(application: Json, value: str) -> bool:
    return bool(set(value.split(",")) & set(application["clientIds"]))
