"""``bptl tasks`` and effects of which nobody knows: what an operator sees and types."""

from __future__ import annotations

import json
import shlex

import pytest
from click.testing import CliRunner, Result

from bptl.cli.main import bptl
from bptl.tasks.lifecycle import Outcome, Status
from bptl.tasks.models import Event
from bptl.work_units.contract import Sending
from tests.integration.ledger import KEY, Service, first_run, next_run, note_doubt, parked, row
from tests.integration.scene import Scene, fresh


def command(line: str) -> Result:
    return CliRunner().invoke(bptl, shlex.split(line))


def shown(number: int, *options: str) -> str:
    answer = command(" ".join(["tasks show", str(number), *options]))
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_the_page_of_a_task_lists_its_effects_with_their_numbers(scene: Scene) -> None:
    run = first_run(scene)
    run.once(Service().create, arguments={"naam": "Ouédraogo"})
    run.left_open(key="notify")
    done, unknown = row(run), row(run, "notify")

    page = shown(run.claim.task_id)
    facts = json.loads(shown(run.claim.task_id, "--json"))

    assert f"  {done.pk}  {KEY} (lease 1): happened, known by answer since" in page
    assert 'arguments: {"naam": "Ouédraogo"}' in page
    assert 'result: {"url": "https://zaken/1"}' in page
    assert f"  {unknown.pk}  notify (lease 1): open since" in page
    assert "last error: TimeoutError: no answer in 30 s" in page
    assert [(effect["key"], effect["end"], effect["known_by"]) for effect in facts["effects"]] == [
        (KEY, "happened", "answer"),
        ("notify", "", ""),
    ]


def test_an_effect_that_happened_twice_is_told_first(scene: Scene) -> None:
    run = first_run(scene)

    def slow(sending: Sending) -> str:
        next_run(scene, run).once(Service().create, reconcile=lambda: None)
        return "late"

    run.once(slow, reconcile=lambda: None)

    page = shown(run.claim.task_id)

    assert page.index(f"happened twice: effect '{KEY}'") < page.index("walk:")
    assert json.loads(shown(run.claim.task_id, "--json"))["doubled"] == [KEY]


def test_a_task_without_effects_says_nothing_of_them(scene: Scene) -> None:
    assert "effects:" not in shown(scene.task(Status.RETURNED).pk)


def test_an_uncertain_task_tells_what_nobody_knows_and_every_way_out(scene: Scene) -> None:
    run = parked(scene)
    number, effect = run.claim.task_id, row(run).pk

    page = shown(number)

    assert f"error: nobody knows, a person must decide: effect '{KEY}' may have happened: TimeoutError" in page
    todo = page.partition("what can be done now:")[2]
    assert f"bptl tasks settle {effect} --happened" in todo
    assert f"bptl tasks settle {effect} --did-not-happen" in todo
    assert f"bptl tasks give-up {number}" in todo
    assert f"bptl tasks complete {number}" in todo


def test_a_person_is_not_asked_before_the_engine_holds_the_task_back(scene: Scene) -> None:
    run = first_run(scene)
    note_doubt(run, run.left_open())

    page = shown(run.claim.task_id)
    answer = command(f"tasks settle {row(run).pk} --happened --reason x")

    assert "tasks settle" not in page
    assert answer.exit_code == 1
    assert answer.output.startswith(f"Error: task {run.claim.task_id}: the engine does not know yet")
    assert answer.output.count("\n") == 1


def test_it_happened_with_this_result_says_a_person(scene: Scene) -> None:
    run = parked(scene)
    effect = row(run).pk

    answer = command(
        f"""tasks settle {effect} --happened --result '{{"url": "https://zaken/7"}}' --reason seen --actor jansen"""
    )

    assert answer.exit_code == 0, answer.output
    number = run.claim.task_id
    assert answer.output == f"effect {effect}: it happened; task {number} runs again under its next lease\n"
    noted = row(run)
    assert (noted.end, noted.known_by, noted.result) == ("happened", "jansen", {"url": "https://zaken/7"})
    assert fresh(run.claim).status == Status.RETURNED
    event = Event.objects.get(name="effect.settled")
    assert (event.actor, event.detail["reason"]) == ("jansen", "seen")


def test_it_did_not_happen_says_a_person(scene: Scene) -> None:
    run = parked(scene, "create-zaak", "notify")

    first = command(f"tasks settle {row(run, 'notify').pk} --did-not-happen --reason looked")
    last = command(f"tasks settle {row(run).pk} --did-not-happen --reason looked")

    assert "it did not happen; task" in first.output
    assert f"waits for other answers, see bptl tasks show {run.claim.task_id}" in first.output
    assert "runs again" in last.output
    assert fresh(run.claim).status == Status.RETURNED


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--reason x", "--happened"),
        ("--happened", "--reason"),
        ("--did-not-happen --result 1 --reason x", "what did not happen has no result"),
        ("--happened --result R-7 --reason x", "not JSON"),
        ("--happened --result NaN --reason x", "not JSON"),
        ("""--happened --result '"\\ud800"' --reason x""", "not JSON"),
    ],
)
def test_a_person_s_word_that_is_not_clear_changes_nothing(scene: Scene, options: str, said: str) -> None:
    run = parked(scene)
    answer = command(f"tasks settle {row(run).pk} {options}")
    assert answer.exit_code == 2
    assert said in answer.output
    assert (row(run).end, fresh(run.claim).status) == ("", Status.UNCERTAIN)


def test_an_effect_that_does_not_exist_or_is_not_open_is_one_line(scene: Scene) -> None:
    run = parked(scene, "create-zaak", "notify")
    command(f"tasks settle {row(run).pk} --happened --reason x")
    for effect, said in ((999999, "there is no effect 999999"), (row(run).pk, "is not waiting for an answer")):
        answer = command(f"tasks settle {effect} --did-not-happen --reason x")
        assert (answer.exit_code, answer.output.count("\n")) == (1, 1)
        assert said in answer.output
    assert row(run).end == "happened"


def test_a_task_is_given_up(scene: Scene) -> None:
    run = parked(scene)
    number = run.claim.task_id

    answer = command(f"tasks give-up {number} --reason 'nobody can say'")

    assert answer.exit_code == 0, answer.output
    task = fresh(run.claim)
    assert (task.status, task.outcome) == (Status.DELIVERED, Outcome.FAILED)
    page = shown(number)
    assert f"task {number}: topic is delivered (failed)" in page
    assert "message: given up by" in page


def test_what_a_person_settled_is_found_by_the_next_attempt(scene: Scene) -> None:
    run = first_run(scene)
    run.once(Service().create, key="first")
    again = next_run(scene, run)
    again.left_open()
    page = shown(run.claim.task_id)
    assert "first (lease 1): happened" in page
    assert f"{KEY} (lease 2): open since" in page
