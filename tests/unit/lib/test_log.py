"""What the log says of a task, and what it never says."""

from __future__ import annotations

import io
import json
import logging
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from bptl.lib import log, redaction

SECRET = "Zeer-Geheim7"
BSN = "111222333"
TASK = {"task_id": 7, "topic": "zaak.maken", "engine": "sandbox", "process_instance": "pi", "unit": "zgw.create_zaak"}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything is written here, as production writes it."""
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    log.configure(level="DEBUG", form="json")
    monkeypatch.setattr(log, "_listeners", [])
    monkeypatch.setattr(redaction, "_remembered", {})
    monkeypatch.setattr(redaction, "_known", ())
    yield stderr
    monkeypatch.undo()
    log.configure()


def events(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_whatever_is_logged_while_a_unit_runs_says_which_task_it_is(written: io.StringIO) -> None:
    with log.context(TASK):
        log.get_logger("bptl.tasks").info("effect.begun")
        log.get_logger("bptl.work_unit", task_id=7).info("leges.computed", maanden=3)
        logging.getLogger("gemeente_units.parkeren").warning("slow register")
    log.get_logger("bptl.tasks").info("afterwards")
    *during, after = events(written)
    assert [event["event"] for event in during] == ["effect.begun", "leges.computed", "slow register"]
    for event in during:
        assert {name: event[name] for name in TASK} == TASK
    assert "task_id" not in after


def test_what_an_event_says_itself_goes_first(written: io.StringIO) -> None:
    with log.context(TASK):
        log.get_logger("x").info("task.seen", task_id=8)
    assert events(written)[0]["task_id"] == 8


def test_places_do_not_see_each_others_tasks(written: io.StringIO) -> None:
    both_run = threading.Barrier(2)

    def run(number: int) -> None:
        with log.context({"task_id": number}):
            both_run.wait(5)
            logging.getLogger("library").info("of %s", number)

    threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {event["event"]: event["task_id"] for event in events(written)} == {"of 1": 1, "of 2": 2}


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_is_written_whoever_logs_it_and_however(form: log.LogFormat, written: io.StringIO) -> None:
    log.configure(level="DEBUG", form=form)
    logging.getLogger().handlers[0].setStream(written)  # type: ignore[attr-defined]
    ours, library = log.get_logger("bptl"), logging.getLogger("library")
    ours.info(f"said token={SECRET}", password=SECRET, nested={"client_secret": SECRET, "list": [f"Bearer {SECRET}"]})
    ours.info("request.made", headers={"Authorization": SECRET, "Cookie": SECRET}, url=f"https://a:{SECRET}@b.nl/")
    ours.info("person.found", bsn=int(BSN), number=int(BSN), text=f"BSN {BSN}", who={"inpBsn": "1"})
    library.info("GET %s", f"https://example.nl/?token={SECRET}")
    ours.info("object.seen", error=ValueError(f"password={SECRET}"), raw=f"Bearer {SECRET}".encode())
    for logger in (ours, library):
        try:
            raise RuntimeError(f"401 for Authorization: Bearer {SECRET} of {BSN}")
        except RuntimeError:
            logger.exception("it failed")
    said = written.getvalue()
    assert SECRET not in said
    assert BSN not in said
    assert said.count("RuntimeError") >= 2, "the traceback is there, without its secrets"


def test_a_secret_of_this_process_is_hidden_in_whatever_text(written: io.StringIO) -> None:
    redaction.remember("correct-horse-battery")
    logging.getLogger("library").error("the server said: correct-horse-battery is wrong")
    assert events(written)[0]["event"] == "the server said: *** is wrong"


def test_our_own_numbers_stay_also_where_they_would_pass_for_a_bsn(written: io.StringIO) -> None:
    lease = uuid.UUID(int=1)
    log.get_logger("x").info("task.seen", task_id=int(BSN), lease_id=lease, tries=3, seconds=0.5, well=True, none=None)
    (event,) = events(written)
    assert event["task_id"] == int(BSN)
    assert event["lease_id"] == str(lease)
    assert (event["tries"], event["seconds"], event["well"], event["none"]) == (3, 0.5, True, None)


def test_who_listens_is_told_of_errors_with_their_exception(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    log.on_error(lambda event: told.append(dict(event)))
    with log.context(TASK):
        log.get_logger("x").warning("not.told")
        try:
            raise KeyError("zaak")
        except KeyError:
            log.get_logger("x").exception("unit.failed")
            logging.getLogger("library").exception("library failed")
    assert [event["event"] for event in told] == ["unit.failed", "library failed"]
    assert all(event["topic"] == "zaak.maken" and event["exc_info"] for event in told)


def test_an_exception_that_nobody_caught_is_an_event_without_secrets(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.excepthook", None)
    monkeypatch.setattr("threading.excepthook", None)
    log.take_over_stderr()

    def fail() -> None:
        raise RuntimeError(f"password={SECRET}")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    logging.captureWarnings(False)
    (event,) = events(written)
    assert event["event"] == "thread.failed"
    assert "RuntimeError" in event["exception"]
    assert SECRET not in event["exception"]
