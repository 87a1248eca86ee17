"""Ids that grow with time."""

from __future__ import annotations

import secrets
import time
import uuid

import pytest

from bptl.lib.ids import time_ordered_id


def test_ids_are_uuids_of_version_7_that_tell_their_time() -> None:
    before = time.time_ns() // 1_000_000
    made = time_ordered_id()
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant, len(str(made))) == (7, uuid.RFC_4122, 36)
    assert before <= made.int >> 80 <= after


def test_ids_of_one_moment_differ_and_of_later_moments_are_greater() -> None:
    ids = []
    for _ in range(100):
        ids.append(time_ordered_id())
        begun = time.time_ns()
        while time.time_ns() - begun < 2_000:  # the fraction counts in quarters of a microsecond
            pass
    assert ids == sorted(ids)
    assert len({time_ordered_id() for _ in range(10_000)}) == 10_000


def test_an_id_of_a_known_time_is_the_example_of_the_rfc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 0x17F22E279B0 * 1_000_000)
    monkeypatch.setattr(secrets, "randbits", lambda bits: 0x18C4DC0C0C07398F)
    assert str(time_ordered_id()) == "017f22e2-79b0-7000-98c4-dc0c0c07398f"
