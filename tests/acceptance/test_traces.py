"""The trace of a case, and what failed in it, as a collector of OpenTelemetry and a Sentry hear of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stage.engines import SANDBOX
from tests.acceptance.town import Town
from tests.doubles.otlp import Collector, Span
from tests.doubles.outside import Outside
from tests.doubles.sentry import Sentry

UNITS = Path(__file__).parents[1] / "faults" / "units"
KEY = "sleutel-van-de-verzamelaar"
BSN = "111222333"
TOKEN = "token-in-het-adres-van-iemand"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def sentry() -> Iterator[Sentry]:
    with Sentry() as running:
        yield running


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with Outside("/register/") as running:
        running.answer("personen/1", {"naam": "Jansen"})
        yield running


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector, sentry: Sentry, outside: Outside
) -> Iterator[Town]:
    environment = {
        "PYTHONPATH": str(UNITS),
        "BPTL_LOG_FORMAT": "json",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={KEY}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "BPTL_TRACE_VARIABLE": "traceparent",
        "SENTRY_DSN": sentry.dsn,
        "SENTRY_ENVIRONMENT": "proef",
        "VERSION_TAG": "bptl@9.9",
    }
    logs = tmp_path_factory.mktemp("traces")
    with Town.built(logs, product=SANDBOX, workers=1, environment=environment) as built:
        built.topology.bptl(
            *("services", "add", "register", "--kind", "orc", "--url", outside.root, "--login", "no_auth"),
        )
        built.topology.bptl("applications", "add", "vergunningen", "--label", "Vergunningen", "--unit", "*")
        built.topology.bptl("applications", "grant", "vergunningen", "register", "--as-service")
        built.map("register.vragen", "http.request", "--service", "service=register")
        built.map("melding.maken", "demo.quick")
        built.map("alles.zeggen", "test.tell")
        yield built


def case(town: Town, **variables: Any) -> str:
    """A case that asks the register, and then does one more thing."""
    return town.start(
        "two-steps",
        business_key=f"burger {BSN}",
        first="register.vragen",
        second="melding.maken",
        bptlAppId="vergunningen",
        method="GET",
        path="personen/1",
        **variables,
    )


RUNS = {"process register.vragen": 1, "process melding.maken": 1, "GET register": 1, "report completed": 2}


def spans(town: Town, collector: Collector, instance: str, wanted: Mapping[str, int]) -> list[Span]:
    """All spans of the traces in which this case was worked on, when as many as ``wanted`` of each name are there."""

    def of_case() -> list[Span]:
        came = list(collector.spans)
        traces = {span.trace for span in came if span.attributes.get("bptl.process_instance.id") == instance}
        return [span for span in came if span.trace in traces]

    town.wait(
        f"the collector has {wanted}",
        lambda: Counter(wanted) <= Counter(span.name for span in of_case()),
        seconds=30,
    )
    return of_case()


def named(found: list[Span], name: str) -> list[Span]:
    return sorted((span for span in found if span.name == name), key=lambda span: span.began)


def test_a_case_without_a_trace_gets_one_from_its_first_task(
    town: Town, collector: Collector, outside: Outside
) -> None:
    instance = case(town)
    town.wait("the case ended", lambda: town.ended(instance))
    found = spans(town, collector, instance, {**RUNS, "receive melding.maken": 1})
    assert len({span.trace for span in found}) == 1, "one case, one trace"
    (first,) = named(found, "process register.vragen")
    (call,) = named(found, "GET register")
    (received,) = named(found, "receive melding.maken")
    (second,) = named(found, "process melding.maken")
    reports = named(found, "report completed")
    assert first.parent == ""
    assert [call.parent, received.parent, second.parent] == [first.id, first.id, received.id]
    assert [report.parent for report in reports] == [first.id, second.id]
    assert {span.service for span in (first, call, second, *reports)} == {"bptl-work"}
    assert received.service == "bptl-poll"
    assert town.variables(instance)["traceparent"].startswith(f"00-{first.trace}-{first.id}-")
    # The service was told, and the poll that brought the second task names its span.
    assert outside.asked[-1].headers["traceparent"].startswith(f"00-{call.trace}-{call.id}-")
    town.wait(
        "the poll's own trace has come",
        lambda: any(received.id in span.links for span in collector.named(f"fetch {SANDBOX}")),
    )
    fetches = [span for span in collector.named(f"fetch {SANDBOX}") if received.id in span.links]
    assert [span.service for span in fetches] == ["bptl-poll"]
    assert [span.parent for span in collector.named("record") if span.trace == fetches[0].trace] == [fetches[0].id]


def test_a_case_that_was_started_in_a_trace_stays_in_it(town: Town, collector: Collector) -> None:
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    given = f"00-{trace}-{parent}-01"
    instance = case(town, traceparent=given)
    town.wait("the case ended", lambda: town.ended(instance))
    found = spans(town, collector, instance, {**RUNS, "receive register.vragen": 1, "receive melding.maken": 1})
    assert {span.trace for span in found} == {trace}
    receives = [span for span in found if span.name.startswith("receive ")]
    assert [span.parent for span in receives] == [parent, parent]
    processes = [span for span in found if span.name.startswith("process ")]
    assert {span.parent for span in processes} == {span.id for span in receives}
    assert town.variables(instance)["traceparent"] == given, "it is not replaced"


def test_spans_say_what_happened_and_nothing_of_anybody(town: Town, collector: Collector) -> None:
    instance = case(town)
    town.wait("the case ended", lambda: town.ended(instance))
    found = spans(town, collector, instance, RUNS)
    (run,) = named(found, "process register.vragen")
    (row,) = [row for row in town.tasks(topic="register.vragen") if row["process_instance_id"] == instance]
    assert run.kind == "consumer"
    assert run.attributes == {
        "messaging.system": "bptl",
        "messaging.operation.type": "process",
        "messaging.destination.name": "register.vragen",
        "messaging.message.id": row["external_id"],
        "bptl.engine": SANDBOX,
        "bptl.process_instance.id": instance,
        "bptl.task.id": row["id"],
        "bptl.task.attempt": 1,
        "bptl.unit": "http.request",
        "bptl.outcome": "completed",
    }
    (call,) = named(found, "GET register")
    assert (call.kind, call.attributes["http.response.status_code"], call.failed) == ("client", 200, False)
    said = repr(collector.spans)
    assert not [word for word in (BSN, "personen", "Jansen", "vergunningen") if word in said]
    assert {headers["api-key"] for headers in collector.headers} == {KEY}


def test_an_unexpected_failure_is_told_to_sentry_without_data_of_anybody(
    town: Town, collector: Collector, sentry: Sentry
) -> None:
    told = {
        "burger": BSN,
        "kop": "Authorization: Bearer abcDEF123456",
        "adres": f"https://register.nl/burger/{BSN}?token={TOKEN}",
    }
    instance = town.one_step("alles.zeggen", business_key=f"burger {BSN}", **told)
    town.wait("it is an incident", lambda: bool(town.incidents(instance)))
    town.wait("Sentry was told", lambda: bool(sentry.events), seconds=30)
    event = sentry.events[0]
    (row,) = town.tasks(topic="alles.zeggen")
    assert event["message"] == "unit.failed_unexpectedly"
    assert event["tags"] == {
        "process": "work",
        "topic": "alles.zeggen",
        "engine": SANDBOX,
        "unit": "test.tell",
        "task_id": str(row["id"]),
    }
    assert (event["environment"], event["release"], event["level"]) == ("proef", "bptl@9.9", "error")
    (exception,) = event["exception"]["values"]
    assert exception["type"] == "RuntimeError"
    assert exception["value"] == "GET https://register.nl/burger/***?token=*** with Authorization: Bearer *** for ***"
    assert [frame["function"] for frame in exception["stacktrace"]["frames"]][-1] == "tell"
    said = "\n".join(sentry.bodies)
    assert not [word for word in (BSN, TOKEN, "abcDEF123456", '"vars"', '"request"', '"user"') if word in said]
    failed = [span for span in collector.named("process alles.zeggen") if span.failed]
    assert {span.attributes["error.type"] for span in failed} == {"failed"}


def test_what_a_unit_and_its_libraries_log_says_of_which_task(town: Town) -> None:
    town.wait("it was tried", lambda: bool(town.tasks(topic="alles.zeggen")))
    (row,) = town.tasks(topic="alles.zeggen")
    lines = (town.topology.logs / "work-1.log").read_text().splitlines()
    events = [event for line in lines if (event := json.loads(line)).get("task_id") == row["id"]]
    for name in ("burger.found", "unit.failed_unexpectedly"):
        assert [event for event in events if event["event"] == name]
    from_library = [event for event in events if event["logger"] == "somebodys_library"]
    assert from_library
    for event in from_library:
        assert (event["topic"], event["engine"], event["unit"]) == ("alles.zeggen", SANDBOX, "test.tell")
        assert event["process_instance"] == row["process_instance_id"]
        assert re.fullmatch(r"[0-9a-f-]{36}", event["lease_id"])
