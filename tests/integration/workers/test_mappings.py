"""Mappings that a floor has read: few questions, and yet what an administrator changes counts."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from bptl.workers import mappings
from bptl.workers.mappings import Mappings
from tests.integration.scene import Scene


def test_mappings_are_read_once_for_many_groups_of_tasks(scene: Scene) -> None:
    one, other = scene.map("one"), scene.map("other")
    known = Mappings()
    with CaptureQueriesContext(connection) as asked:
        assert known.of({one.id})[one.id].topic == "one"
        assert known.of({one.id, other.id})[other.id].topic == "other"
        assert known.of({one.id, other.id})[one.id].engine == one.engine
    # Each time the mappings and their services.
    assert len(asked) == 4


def test_a_changed_and_a_deleted_mapping_are_heard_of(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mappings, "FRESH", 0.0)
    changed, deleted = scene.map("changed"), scene.map("deleted")
    gone, ids = deleted.id, {changed.id, deleted.id}
    known = Mappings()
    assert set(known.of(ids)) == ids
    changed.unit = "demo.other"
    changed.save()
    deleted.delete()
    assert known.of(ids)[changed.id].unit == "demo.other"
    assert gone not in known.of(ids)


def test_a_mapping_that_is_missing_is_asked_for_again(scene: Scene) -> None:
    known = Mappings()
    assert 4711 not in known.of({4711})
    late = scene.map("late", id=4711)
    assert known.of({4711})[4711] == late
