"""A process that stops in the middle of a transaction keeps its rows from nobody for ever."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from bptl.tasks import effects, sessions, sql
from bptl.tasks.models import Effect
from bptl.tasks.upkeep import processes
from tests.integration.ledger import Service, ends, first_run
from tests.integration.scene import Scene
from tests.integration.waiting import in_thread


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """New sessions may be silent for 0.2 s within a transaction."""
    monkeypatch.setattr(sessions, "IDLE_IN_TRANSACTION", "200ms")
    connection.close()


@pytest.mark.usefixtures("impatient")
def test_a_transaction_of_a_silent_process_ends_by_itself(committed_scene: Scene) -> None:
    process_id = committed_scene.process()
    beaten: list[bool] = []

    def lock_and_fall_silent() -> None:
        sql.query("SELECT id FROM tasks_process WHERE id = %s FOR UPDATE", [process_id])
        in_thread(lambda: beaten.append(processes.beat(process_id))).join(30)
        sql.query("SELECT now()")

    with pytest.raises(DatabaseError, match="idle-in-transaction"), transaction.atomic():
        lock_and_fall_silent()
    connection.close()

    assert beaten == [True]


@pytest.mark.usefixtures("impatient")
def test_what_happened_is_told_again_when_the_telling_was_stopped_in_its_transaction(
    committed_scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, service = first_run(committed_scene), Service()
    follow, stops = effects._follow, [1.0]

    def stopped_once(*args: Any, **kwargs: Any) -> None:
        time.sleep(stops.pop() if stops else 0)
        follow(*args, **kwargs)

    monkeypatch.setattr(effects, "_follow", stopped_once)

    assert run.once(service.create) == service.answer()

    assert (ends(run), len(service.created)) == ([Effect.End.HAPPENED], 1)
    assert stops == []


@pytest.mark.usefixtures("committed_scene")
def test_a_transaction_may_be_silent_as_long_as_a_process() -> None:
    connection.close()

    (row,) = sql.query("SHOW idle_in_transaction_session_timeout")

    assert row.idle_in_transaction_session_timeout == "15s"
