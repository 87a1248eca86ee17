"""What an operator does on the pages of a task: told before, done at the engine, kept with name and reason."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from bptl.engines.variables import encode
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Effect, Event, Task
from tests.doubles.engine import FakeEngine
from tests.integration.ledger import KEY, Run, doubtful, external, parked, row
from tests.integration.scene import Scene, a_scene, events, fresh

WHY = "the register was mended"


@pytest.fixture
def scene(there: FakeEngine, db: None) -> Iterator[Scene]:
    with a_scene(there) as scene:
        yield scene


def incident(scene: Scene, **variables: object) -> Task:
    """A failed task without retries, fetched with these variables."""
    typed = {name: encode(value).to_json() for name, value in variables.items()}
    there = scene.there.add(variables=typed)
    there.retries = 0
    return scene.task(
        Status.DELIVERED,
        Outcome.FAILED,
        external=there,
        variables=typed,
        process_instance_id=there.process_instance_id,
        execution_id=there.process_instance_id,
        result={"message": "it broke", "details": "", "retries": 0, "wait_ms": 0},
    )


def page(client: Client, address: str, *, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return html.unescape(answer.content.decode())


def send(client: Client, address: str, task: Task | int, *, status: int = 302, **fields: Any) -> str:
    """Send the form of an action as a browser does; the page that follows."""
    task_id = task if isinstance(task, int) else task.pk
    seen = str(Task.objects.get(id=task_id).last_lease_id)
    answer = client.post(address, {"reason": WHY, "seen": seen, **fields})
    assert answer.status_code == status, html.unescape(answer.content.decode())
    if status == 302:
        assert answer["Location"] == f"/tasks/{task_id}/"
        answer = client.get(answer["Location"])
    return html.unescape(answer.content.decode())


def buttons(client: Client, task: Task) -> list[str]:
    shown = page(client, f"/tasks/{task.pk}/")
    return re.findall(r'<a class="utrecht-button[^"]*" href="([^"]+)">', shown)


def kept(task: Task | int, name: str) -> dict[str, Any]:
    event = Event.objects.get(task_id=task if isinstance(task, int) else task.pk, name=name)
    assert event.actor == "operator"
    assert event.detail["reason"] == WHY
    return dict(event.detail)


def variables(*rows: tuple[str, str, str]) -> dict[str, Any]:
    names, types, texts = zip(*rows, strict=True)
    return {"variable-name": list(names), "variable-type": list(types), "variable-text": list(texts)}


@pytest.mark.parametrize(
    ("status", "outcome", "live", "parts"),
    [
        (Status.DELIVERED, Outcome.FAILED, False, ["retry", "retry-with-variables", "complete"]),
        (Status.PERFORMED, Outcome.COMPLETED, False, ["deliver-again"]),
        (Status.PERFORMED, Outcome.COMPLETED, True, []),
        (Status.QUEUED, Outcome.NONE, True, ["hand-back"]),
        (Status.RUNNING, Outcome.NONE, True, ["hand-back"]),
        (Status.RETURNED, Outcome.NONE, False, ["complete"]),
        (Status.UNCERTAIN, Outcome.NONE, False, ["complete", "give-up"]),
        (Status.DELIVERED, Outcome.COMPLETED, False, []),
        (Status.LOST, Outcome.NONE, False, []),
    ],
)
def test_a_task_has_the_buttons_of_what_its_lifecycle_allows(
    scene: Scene, operator: Client, status: Status, outcome: Outcome, live: bool, parts: list[str]
) -> None:
    task = scene.task(status, outcome, live=live)
    assert buttons(operator, task) == [f"/tasks/{task.pk}/{part}/" for part in parts]
    for part in ("retry", "retry-with-variables", "deliver-again", "complete", "give-up", "hand-back"):
        shown = page(operator, f"/tasks/{task.pk}/{part}/", status=200 if part in parts else 409)
        assert ("What will happen" in shown) == (part in parts)
        assert ("Look at the task" in shown) == (part not in parts)


def test_a_viewer_has_no_buttons_and_may_not_act(scene: Scene, reader: Client) -> None:
    task = incident(scene)
    assert buttons(reader, task) == []
    assert reader.get(f"/tasks/{task.pk}/retry/").status_code == 403
    assert reader.post(f"/tasks/{task.pk}/retry/", {"reason": WHY, "seen": str(task.last_lease_id)}).status_code == 403
    assert (scene.there.tasks[task.external_id].retries, events(task)) == (0, [])


def test_a_retry_says_what_will_happen_and_the_engine_offers_the_task(scene: Scene, operator: Client) -> None:
    task = incident(scene)
    shown = page(operator, f"/tasks/{task.pk}/retry/")
    assert "The engine gets one retry for the task" in shown
    assert "The ledger knows no effect of it" in shown
    after = send(operator, f"/tasks/{task.pk}/retry/", task)
    assert "The engine offers the task again." in after
    assert scene.there.tasks[task.external_id].retries == 1
    assert kept(task, "task.retried") == {"reason": WHY}


def test_a_retry_names_the_effects_that_are_not_repeated(scene: Scene, operator: Client) -> None:
    task = incident(scene)
    for key, end in (("create-zaak", Effect.End.HAPPENED), ("notify", "")):
        lease = task.leases.get()
        Effect.objects.create(
            task=task,
            key=key,
            lease_id=lease.id,
            gives_up_at=lease.recorded_at,
            settles_at=lease.recorded_at,
            end=end,
            ended_at=lease.recorded_at if end else None,
            known_by="answer" if end else "",
        )
    shown = page(operator, f"/tasks/{task.pk}/retry/")
    assert "the ledger knows that it happened: create-zaak." in shown
    assert "Unknown whether it happened: notify." in shown


def test_nobody_acts_without_a_reason(scene: Scene, operator: Client) -> None:
    task = incident(scene)
    shown = send(operator, f"/tasks/{task.pk}/retry/", task, reason="  ", status=200)
    assert "Say why" in shown
    assert events(task) == []


def test_a_task_that_changed_behind_the_page_is_shown_anew_with_what_was_typed(scene: Scene, operator: Client) -> None:
    task = incident(scene)
    before = "00000000-0000-4000-8000-000000000000"
    shown = send(operator, f"/tasks/{task.pk}/retry/", task, seen=before, status=409)
    assert "The task has changed since you opened this page" in shown
    assert WHY in shown
    assert str(task.last_lease_id) in shown
    assert events(task) == []


def test_an_action_that_is_refused_says_where_the_task_is_and_keeps_what_was_typed(
    scene: Scene, operator: Client
) -> None:
    task = scene.task(Status.DELIVERED, Outcome.COMPLETED)
    shown = send(operator, f"/tasks/{task.pk}/retry/", task, status=409)
    assert "It is delivered, completed." in shown
    assert WHY in shown
    assert events(task) == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ((503, "ServiceUnavailable"), "Engine main does not answer"),
        ((403, "AuthorizationException"), "Engine main does not allow us this"),
        ((401, "Unauthorized"), "does not accept our login"),
        ((500, "ProcessEngineException"), "Engine main refuses this"),
    ],
)
def test_an_engine_that_does_not_do_it_is_a_page_that_keeps_what_was_typed(
    scene: Scene, operator: Client, fault: tuple[int, str], words: str
) -> None:
    task = incident(scene)
    scene.there.refuse("retries", *fault, times=5)
    shown = send(operator, f"/tasks/{task.pk}/retry/", task, status=502)
    assert words in shown
    assert WHY in shown
    assert fresh(task).status == Status.DELIVERED
    assert events(task) == ["task.retried", "task.retry_refused"]


def test_a_retry_of_what_the_engine_no_longer_knows_says_so(scene: Scene, operator: Client) -> None:
    task = incident(scene)
    scene.there.remove(scene.there.tasks[task.external_id])
    assert "The engine no longer knows this task" in send(operator, f"/tasks/{task.pk}/retry/", task, status=502)


def test_variables_are_changed_and_added_before_a_retry_and_others_stay(scene: Scene, operator: Client) -> None:
    task = incident(scene, hoogte="hoog", naam="Saskia\nde Boer", aantal=3)
    address = f"/tasks/{task.pk}/retry-with-variables/"
    assert "Saskia\nde Boer</textarea>" in page(operator, address)
    typed = variables(
        ("aantal", "Integer", "3"),
        ("hoogte", "Double", "9.5"),
        ("naam", "String", "Saskia\r\nde Boer"),
        ("nieuw", "Json", '{"a": [1]}'),
        ("", "String", ""),
    )
    after = send(operator, address, task, **typed)
    assert "Changed: hoogte, nieuw." in after
    assert kept(task, "task.retried")["variables"] == ["hoogte", "nieuw"]
    there = scene.there.tasks[task.external_id]
    assert there.retries == 1
    assert {name: (one["type"], one["value"]) for name, one in there.variables.items()} == {
        "aantal": ("Integer", 3),
        "hoogte": ("Double", 9.5),
        "naam": ("String", "Saskia\nde Boer"),
        "nieuw": ("Json", '{"a": [1]}'),
    }


@pytest.mark.parametrize(
    ("row_", "words"),
    [
        (("hoogte", "Double", "hoog"), "Write a number with a point"),
        (("hoogte", "Integer", "9.5"), "Write a whole number"),
        (("hoogte", "Integer", "99999999999"), "too large for this type"),
        (("hoogte", "Boolean", "ja"), "Write true or false"),
        (("hoogte", "Date", "2026-11-26T09:00"), "offset from UTC"),
        (("hoogte", "Json", "{"), "This is not JSON"),
        (("hoogte", "Null", "x"), "This type has no value"),
        (("hoogte", "Java", "x"), "Choose a type"),
        (("", "String", "x"), "Give it a name"),
    ],
)
def test_a_value_that_does_not_fit_is_marked_and_nothing_is_done(
    scene: Scene, operator: Client, row_: tuple[str, str, str], words: str
) -> None:
    task = incident(scene, hoogte="hoog")
    shown = send(operator, f"/tasks/{task.pk}/retry-with-variables/", task, status=200, **variables(row_))
    assert words in shown
    assert row_[2] in shown
    assert (scene.there.calls["setVariables"], events(task)) == (0, [])


def test_variables_that_the_engine_refuses_stay_typed(scene: Scene, operator: Client) -> None:
    task = incident(scene, hoogte="hoog")
    scene.there.refuse("setVariables", 403, "AuthorizationException")
    typed = variables(("hoogte", "Double", "9.5"))
    shown = send(operator, f"/tasks/{task.pk}/retry-with-variables/", task, status=502, **typed)
    assert "UPDATE_VARIABLE" in shown
    assert "9.5</textarea>" in shown
    assert scene.there.tasks[task.external_id].retries == 0


def test_a_file_cannot_be_typed_and_is_named(scene: Scene, operator: Client) -> None:
    task = incident(scene, hoogte="hoog")
    file = {"type": "File", "value": None, "valueInfo": {"filename": "plan.pdf"}}
    Task.objects.filter(id=task.pk).update(variables={**task.variables, "tekening": file})
    assert "tools of the engine: tekening" in page(operator, f"/tasks/{task.pk}/retry-with-variables/")


def test_a_stored_result_is_delivered_again(scene: Scene, operator: Client) -> None:
    task = scene.task(Status.PERFORMED, Outcome.COMPLETED, live=False)
    scene.there.tasks[task.external_id].retries = 0
    assert "Our lease has ended" in page(operator, f"/tasks/{task.pk}/deliver-again/")
    send(operator, f"/tasks/{task.pk}/deliver-again/", task)
    assert scene.there.tasks[task.external_id].retries == 1
    kept(task, "task.delivered_again")


def test_a_person_completes_a_task_with_the_variables_of_its_unit(scene: Scene, operator: Client) -> None:
    scene.map("besluit", unit="demo.decide")
    external_task = scene.there.add("besluit")
    task = scene.task(Status.DELIVERED, Outcome.FAILED, external=external_task)
    address = f"/tasks/{task.pk}/complete/"
    shown = page(operator, address)
    names = re.findall(r'name="variable-name" value="([^"]+)"', shown)
    assert names
    typed = variables(*((name, "String", "") for name in names), ("door", "String", "de balie"))
    send(operator, address, task, **typed)
    now = fresh(task)
    assert (now.status, now.outcome, now.by_hand) == (Status.PERFORMED, Outcome.COMPLETED, True)
    assert now.result is not None
    assert now.result["variables"]["door"]["value"] == "de balie"
    assert "door" in kept(task, "task.completed_by_hand")["variables"]


def test_a_running_task_is_handed_back(scene: Scene, operator: Client) -> None:
    task = scene.task(Status.RUNNING)
    assert "is told to stop" in page(operator, f"/tasks/{task.pk}/hand-back/")
    send(operator, f"/tasks/{task.pk}/hand-back/", task)
    assert fresh(task).status == Status.RETURNED
    kept(task, "task.handed_back")


def test_an_uncertain_task_is_given_up(scene: Scene, operator: Client) -> None:
    task_id = parked(scene).claim.task_id
    assert f"Nobody asks any more whether this happened: {KEY}" in page(operator, f"/tasks/{task_id}/give-up/")
    send(operator, f"/tasks/{task_id}/give-up/", task_id)
    task = Task.objects.get(id=task_id)
    assert (task.status, task.outcome) == (Status.DELIVERED, Outcome.FAILED)
    kept(task_id, "task.given_up")


def address_of(run: Run, key: str = KEY) -> str:
    return f"/tasks/{run.claim.task_id}/effects/{row(run, key).pk}/settle/"


def test_an_effect_that_happened_is_settled_with_its_result(scene: Scene, operator: Client) -> None:
    run = parked(scene)
    assert address_of(run) in buttons(operator, fresh(run.claim))
    assert "It is the last open effect" in page(operator, address_of(run))
    after = send(operator, address_of(run), run.claim.task_id, answer="happened", result='{"url": "https://zaken/17"}')
    assert "The last open effect is settled" in after
    effect = row(run)
    assert (effect.end, effect.result, effect.known_by) == ("happened", {"url": "https://zaken/17"}, "operator")
    assert fresh(run.claim).status == Status.RETURNED
    kept(run.claim.task_id, "effect.settled")


def test_one_of_two_open_effects_is_settled_and_the_task_waits(scene: Scene, operator: Client) -> None:
    run = parked(scene, "first", "second")
    after = send(operator, address_of(run, "first"), run.claim.task_id, answer="did-not-happen", result="")
    assert "waits for other answers" in after
    assert row(run, "first").end == "did_not_happen"
    assert fresh(run.claim).status == Status.UNCERTAIN


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"answer": "happened", "result": "https://zaken/17"}, "This is not JSON"),
        ({"answer": "did-not-happen", "result": "1"}, "What did not happen has no result"),
        ({"result": "1"}, "Say whether it happened"),
    ],
)
def test_an_answer_that_does_not_fit_is_marked(
    scene: Scene, operator: Client, typed: dict[str, str], words: str
) -> None:
    run = parked(scene)
    shown = send(operator, address_of(run), run.claim.task_id, status=200, **typed)
    assert words in shown
    assert typed["result"] in shown
    assert row(run).end == ""


def test_an_effect_is_settled_once(scene: Scene, operator: Client) -> None:
    run = parked(scene, "first", "second")
    send(operator, address_of(run, "first"), run.claim.task_id, answer="happened", result="1")
    assert page(operator, address_of(run, "first"), status=409)
    send(operator, address_of(run, "first"), run.claim.task_id, answer="did-not-happen", result="", status=409)
    assert row(run, "first").result == 1


def test_nothing_is_settled_before_the_engine_knows_that_the_task_is_held_back(scene: Scene, operator: Client) -> None:
    run = doubtful(scene)
    assert external(scene, run).retries is None
    assert "does not know yet that the task is held back" in page(operator, address_of(run), status=409)


def test_an_effect_of_another_task_is_not_found_here(scene: Scene, operator: Client) -> None:
    run = parked(scene)
    other = incident(scene)
    page(operator, f"/tasks/{other.pk}/effects/{row(run).pk}/settle/", status=404)


def test_a_form_of_another_site_is_refused(scene: Scene, operator: Client) -> None:
    task = incident(scene)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    fields = {"reason": WHY, "seen": str(task.last_lease_id)}
    assert strict.post(f"/tasks/{task.pk}/retry/", fields).status_code == 403
    assert events(task) == []


def test_the_pages_speak_dutch(scene: Scene, operator: Client) -> None:
    task = incident(scene)
    answer = operator.get(f"/tasks/{task.pk}/retry/", headers={"accept-language": "nl"})
    shown = html.unescape(answer.content.decode())
    assert "Wat er gebeurt" in shown
    assert "What will happen" not in shown


def test_a_task_without_an_engine_has_no_retry(scene: Scene, operator: Client) -> None:
    task = incident(scene)
    Task.objects.filter(id=task.pk).update(engine=None)
    assert buttons(operator, task) == [f"/tasks/{task.pk}/complete/"]
