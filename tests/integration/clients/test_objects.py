"""Objects and their types: found by what is in them, and the newest version by its number."""

from __future__ import annotations

from datetime import datetime

import pytest

from bptl.clients.objects import ObjectsClient
from bptl.clients.objecttypes import ObjecttypesClient
from bptl.work_units.testing import FakeWork
from bptl.work_units.zgw.effects import DUTCH
from tests.doubles.zgw.double import ZgwDouble


@pytest.fixture
def objects(zgw: ZgwDouble) -> ObjectsClient:
    return ObjectsClient(zgw.access("objects"), FakeWork())


@pytest.fixture
def objecttypes(zgw: ZgwDouble) -> ObjecttypesClient:
    return ObjecttypesClient(zgw.access("objecttypes"), FakeWork())


def test_objects_are_found_by_every_condition_over_all_pages(zgw: ZgwDouble, objects: ObjectsClient) -> None:
    boom = zgw.add_objecttype("boom")
    for number in range(130):
        zgw.add_object(boom, {"soort": "eik, of zo" if number % 2 else "linde", "wijk": {"naam": "Oost"}})
    found = list(objects.objects(boom, data_attr=["soort__exact__eik, of zo", "wijk__naam__exact__Oost"]))
    assert len(found) == 65
    assert {one["record"]["data"]["soort"] for one in found} == {"eik, of zo"}
    assert len(list(objects.objects(boom))) == 130


def test_an_object_is_made_and_changed(zgw: ZgwDouble, objects: ObjectsClient) -> None:
    boom = zgw.add_objecttype("boom")
    today = datetime.now(DUTCH).date().isoformat()
    record = {"typeVersion": 1, "data": {"soort": "eik", "hoogte": 12}, "startAt": today}
    made = objects.create_object({"type": boom, "record": record})
    objects.change_object(made["url"], {"record": {"typeVersion": 1, "data": {"hoogte": 13}, "startAt": today}})
    assert objects.object(made["url"])["record"]["data"] == {"soort": "eik", "hoogte": 13}


def test_version_ten_is_newer_than_version_nine(zgw: ZgwDouble, objecttypes: ObjecttypesClient) -> None:
    boom = zgw.add_objecttype("boom", schemas=[{"title": f"boom {number}"} for number in range(1, 12)])
    newest = objecttypes.newest_version(boom)
    assert newest is not None
    assert newest["version"] == 11
    assert objecttypes.objecttype(boom)["name"] == "boom"
    assert [one["url"] for one in objecttypes.objecttypes()] == [boom]
