"""The page of one task: the error first, everything about it, nothing of it run by the browser, its diagram."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from bptl.accounts.models import User
from bptl.connections.models import Engine
from bptl.tasks import queries
from bptl.tasks.models import EFFECT_DOUBLED, Effect, Event, ServiceCall, Task
from tests.integration.web.conftest import MakeTask

BPMN = '<?xml version="1.0"?><definitions><!-- "</pre><script>alert(3)</script>" --></definitions>'


def page_of(client: Client, task: Task) -> str:
    answer = client.get(f"/tasks/{task.pk}/")
    assert answer.status_code == 200
    return answer.content.decode()


def failed(make_task: MakeTask, **result: object) -> Task:
    given = {"message": "unknown zaaktype ← ClientError: 400", "details": "Traceback …", "retries": 0, "wait_ms": 0}
    return make_task("delivered", "failed", result={**given, **result})


def test_an_incident_begins_with_its_cause_and_says_what_to_do(operator: Client, make_task: MakeTask) -> None:
    task = failed(make_task)
    page = page_of(operator, task)
    assert page.index("no retries are left") < page.index("unknown zaaktype") < page.index("Facts")
    assert '<p class="bptl-cause">unknown zaaktype</p>' in page
    assert "<li>ClientError: 400</li>" in page
    assert f"bptl tasks retry {task.pk} --reason" in page
    assert "Traceback" in page


def test_a_failure_with_retries_left_asks_for_nothing(reader: Client, make_task: MakeTask) -> None:
    page = page_of(reader, failed(make_task, retries=2, wait_ms=90_000))
    assert "after 1 min; retries left: 2" in page
    assert "bptl tasks retry" not in page


def test_a_refused_result_says_that_the_work_is_done(reader: Client, make_task: MakeTask) -> None:
    task = make_task("performed", "completed", parked=True, report_error="script failed behind the task")
    page = page_of(reader, task)
    assert "the engine refuses the result" in page
    assert "script failed behind the task" in page
    assert f"bptl tasks deliver-again {task.pk}" in page


def test_all_that_happened_is_there(operator: Client, make_task: MakeTask) -> None:
    task = make_task(
        business_key="VTH-1",
        variables={"hoogte": {"type": "Double", "value": 9.5, "valueInfo": {}}},
        result={"variables": {"besluit": {"type": "String", "value": "verlenen", "valueInfo": {}}}},
    )
    Event.objects.create(task=task, name="task.retried", actor="jansen", detail={"reason": "typing error"})
    page = page_of(operator, task)
    for text in ("VTH-1", "hoogte", "9.5", "besluit", "verlenen", "node-1 · 42", "task.retried", "jansen"):
        assert text in page, text
    assert "typing error" in page
    assert task.leases.get().worker_id in page


def intended(task: Task, key: str, **fields: object) -> Effect:
    """A row of the ledger."""
    lease = task.leases.get()
    return Effect.objects.create(
        task=task, key=key, lease_id=lease.id, gives_up_at=lease.recorded_at, settles_at=lease.recorded_at, **fields
    )


def test_the_effects_of_a_task_are_there_with_what_became_of_them(operator: Client, make_task: MakeTask) -> None:
    task = make_task()
    done = intended(
        task,
        "create-zaak",
        end="happened",
        ended_at=task.changed_at,
        known_by="answer",
        arguments={"bronorganisatie": "0012"},
        result={"url": "https://zaken/17"},
    )
    intended(task, "notify", error="TimeoutError: no answer in 30 s")
    page = page_of(operator, task)
    section = page[page.index('id="effects-heading"') : page.index('id="in-heading"')]
    for text in ("create-zaak", f"#{done.pk}", ">happened</span>", "0012", "https://zaken/17", "answer"):
        assert text in section, text
    for text in ("notify", ">open</span>", "TimeoutError: no answer in 30 s"):
        assert text in section, text
    assert "happened twice" not in page


def test_a_task_without_effects_has_no_ledger_on_its_page(reader: Client, make_task: MakeTask) -> None:
    assert 'id="effects-heading"' not in page_of(reader, make_task())


def test_an_effect_that_happened_twice_is_the_first_thing_on_the_page(reader: Client, make_task: MakeTask) -> None:
    task = make_task()
    intended(task, "create-zaak", end="happened", ended_at=task.changed_at, known_by="answer")
    intended(task, "notify", end="happened", ended_at=task.changed_at, known_by="answer")
    Event.objects.create(task=task, name=EFFECT_DOUBLED, detail={"effect": "create-zaak"})
    page = page_of(reader, task)
    assert page.index("An effect happened twice") < page.index('<p class="bptl-cause">create-zaak</p>')
    assert page.index('<p class="bptl-cause">create-zaak</p>') < page.index("Facts")
    assert page.count(">happened twice</span>") == 1


def test_an_uncertain_task_shows_how_each_of_its_open_effects_is_settled(reader: Client, make_task: MakeTask) -> None:
    task = make_task("uncertain", "", parked=True, report_error="effect 'notify' may have happened")
    done = intended(task, "create-zaak", end="happened", ended_at=task.changed_at, known_by="answer")
    effect = intended(task, "notify")
    page = page_of(reader, task)
    assert f"bptl tasks settle {effect.pk} --happened --result JSON --reason" in page
    assert f"bptl tasks settle {effect.pk} --did-not-happen --reason" in page
    assert f"bptl tasks give-up {task.pk} --reason" in page
    assert f"settle {done.pk} " not in page


def test_nobody_is_asked_before_the_engine_holds_an_uncertain_task_back(reader: Client, make_task: MakeTask) -> None:
    task = make_task("uncertain", "")
    Task.objects.filter(pk=task.pk).update(lease_id=F("last_lease_id"))
    intended(task, "notify")
    page = page_of(reader, task)
    assert "as soon as the engine knows" in page
    assert "tasks settle" not in page
    assert "give-up" not in page


def test_what_people_decided_about_effects_is_told_in_the_walk(reader: Client, make_task: MakeTask) -> None:
    task = make_task("returned", "")
    for name in ("effect.settled", "task.settled", "task.given_up"):
        Event.objects.create(task=task, name=name, actor="jansen", detail={"reason": "looked"})
    page = page_of(reader, task)
    walk = page[page.index('id="walk-heading"') : page.index('id="in-heading"')]
    for text in ("A person said what became of an effect", "it is offered again", "it stays an incident", "jansen"):
        assert text in walk, text


def test_the_ledger_speaks_dutch(reader: Client, make_task: MakeTask) -> None:
    task = make_task()
    intended(task, "create-zaak", end="did_not_happen", ended_at=task.changed_at, known_by="answer")
    page = reader.get(f"/tasks/{task.pk}/", headers={"accept-language": "nl"}).content.decode()
    assert ">niet gebeurd</span>" in page
    assert "Wat ervan werd" in page


@pytest.mark.parametrize("status", ["queued", "running", "waiting", "uncertain", "returned", "lost"])
def test_a_task_in_every_status_has_a_page(reader: Client, make_task: MakeTask, status: str) -> None:
    assert f">{status}</span>" in page_of(reader, make_task(status, ""))


def test_hostile_values_are_shown_and_not_run(reader: Client, make_task: MakeTask) -> None:
    evil = "<script>alert(1)</script>"
    task = make_task(
        variables={evil: {"type": evil, "value": evil + "x" * 300}, "j": {"type": "Json", "value": f'["{evil}"]'}},
        result={"variables": {"out": {"type": "String", "value": '"><svg onload=alert(2)>'}}},
        business_key=evil,
        activity_id='"><script>',
    )
    page = page_of(reader, task)
    assert "<script>alert" not in page
    assert "<svg onload" not in page


def test_a_long_value_is_folded_and_whole(operator: Client, make_task: MakeTask) -> None:
    text = "begin " + "woord " * 200 + "einde"
    page = page_of(operator, make_task(variables={"brief": {"type": "String", "value": text}}))
    assert "<details" in page
    assert text in page


def test_files_and_nothing_are_named(operator: Client, make_task: MakeTask) -> None:
    file = {"type": "File", "value": None, "valueInfo": {"filename": "plan.pdf", "mimetype": "application/pdf"}}
    page = page_of(operator, make_task(variables={"plan": file, "leeg": {"type": "Null", "value": None}}))
    assert "plan.pdf (application/pdf)" in page
    assert "empty (null)" in page


@pytest.mark.parametrize(("find", "there"), [("ADRES", {"adres"}), ("kerk", {"adres"}), ("ee", {"leeg"})])
def test_variables_are_found_by_name_and_value_without_scripts(
    operator: Client, make_task: MakeTask, find: str, there: set[str]
) -> None:
    variables = {
        "adres": {"type": "String", "value": "Kerkstraat", "valueInfo": {}},
        "leeg": {"type": "Null", "value": None, "valueInfo": {}},
        "hoogte": {"type": "Long", "value": 9, "valueInfo": {}},
    }
    task = make_task(variables=variables, result={"variables": variables})
    page = operator.get(f"/tasks/{task.pk}/?variable={find}").content.decode()
    for name in variables:
        assert page.count(f'--first">{name}</td>') == (2 if name in there else 0)
    assert f'value="{find}"' in page
    assert "Show all variables" in page


def test_a_text_that_no_variable_has_says_so(operator: Client, reader: Client, make_task: MakeTask) -> None:
    task = make_task(variables={"adres": {"type": "String", "value": "Kerkstraat", "valueInfo": {}}})
    assert "None of them has this text." in operator.get(f"/tasks/{task.pk}/?variable=dorp").content.decode()
    # A value that is not shown is not found either.
    assert "None of them has this text." in reader.get(f"/tasks/{task.pk}/?variable=kerk").content.decode()


@pytest.mark.parametrize("part", ["", "retry/", "complete/", "calls/0/"])
def test_the_navigation_marks_tasks_on_every_page_of_a_task(operator: Client, make_task: MakeTask, part: str) -> None:
    task = failed(make_task)
    if "calls" in part:
        part = f"calls/{called(task, 'https://zaken.example.nl/').pk}/"
    page = operator.get(f"/tasks/{task.pk}/{part}").content.decode()
    assert 'href="/tasks/" aria-current="page"' in page
    assert page.count('aria-current="page"') == 1


def test_a_task_that_does_not_exist_is_a_page_with_a_way_out(reader: Client) -> None:
    for number in ("404", "99999999999999999999999999"):
        answer = reader.get(f"/tasks/{number}/")
        assert answer.status_code == 404
        assert "This page does not exist" in answer.content.decode()


class Definitions(BaseHTTPRequestHandler):
    """An engine that answers one definition, or refuses it as Operaton does."""

    asked = 0
    allowed = True

    def do_GET(self) -> None:
        type(self).asked += 1
        if type(self).allowed:
            self._answer(200, b'{"id": "permit:1:abc", "bpmn20Xml": %s}' % _json(BPMN))
            return
        missing = b'[{"permissionName": "READ", "resourceName": "Process Definition", "resourceId": "permit"}]'
        self._answer(403, b'{"type": "AuthorizationException", "message": "no", "missingAuthorizations": %s}' % missing)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the output of the tests clean."""


def _json(text: str) -> bytes:
    import json

    return json.dumps(text).encode()


@pytest.fixture
def definitions(main_engine: Engine) -> Iterator[type[Definitions]]:
    Definitions.asked, Definitions.allowed = 0, True
    server = ThreadingHTTPServer(("127.0.0.1", 0), Definitions)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    main_engine.address = f"http://127.0.0.1:{server.server_port}/engine-rest/"
    main_engine.save()
    yield Definitions
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_model_is_asked_once_and_comes_as_text(
    reader: Client, definitions: type[Definitions], make_task: MakeTask
) -> None:
    task = make_task(process_definition_id="permit:1:once")
    part = reader.get(f"/tasks/{task.pk}/diagram/").content.decode()
    assert "&lt;definitions&gt;" in part
    assert "<script>" not in part
    saved = reader.get(f"/tasks/{task.pk}/model.xml")
    assert saved.content.decode() == BPMN
    assert saved["Content-Disposition"] == 'attachment; filename="permit.bpmn"'
    assert definitions.asked == 1


def test_a_missing_right_is_named_instead_of_a_diagram(
    reader: Client, definitions: type[Definitions], make_task: MakeTask
) -> None:
    definitions.allowed = False
    task = make_task(process_definition_id="permit:1:hidden")
    part = reader.get(f"/tasks/{task.pk}/diagram/").content.decode()
    assert "Grant READ on Process Definition permit" in part
    assert reader.get(f"/tasks/{task.pk}/model.xml").status_code == 403


def test_an_engine_that_is_down_breaks_no_page(reader: Client, make_task: MakeTask) -> None:
    task = make_task(process_definition_id="permit:1:down")
    assert page_of(reader, task)
    part = reader.get(f"/tasks/{task.pk}/diagram/").content.decode()
    assert "gave no diagram" in part
    assert "Ask again" in part
    assert reader.get(f"/tasks/{task.pk}/model.xml").status_code == 502


def test_a_call_of_the_rest_api_has_a_page_without_an_engine(reader: Client, make_task: MakeTask) -> None:
    caller = User.objects.create_user("flowable")
    result = {"message": "it broke", "details": "", "retries": 0, "wait_ms": 0}
    task = make_task(outcome="failed", result=result, engine=None, caller=caller, external_id="case-17-leges")

    page = reader.get(f"/tasks/{task.pk}/").content.decode()

    assert "flowable" in page
    assert "case-17-leges" in page
    assert "same Idempotency-Key" in page
    assert "Place in the process" not in page
    assert "bptl tasks retry" not in page
    assert reader.get(f"/tasks/{task.pk}/diagram/").status_code == 200
    assert reader.get(f"/tasks/{task.pk}/model.xml").status_code == 404
    assert f"/tasks/{task.pk}/" in reader.get("/tasks/?engine=rest").content.decode()


def called(task: Task, url: str, **fields: object) -> ServiceCall:
    """A call of the task's only attempt."""
    lease = task.leases.get()
    values = {"service": "zaken", "method": "GET", "milliseconds": 12, "status": 200, "began_at": timezone.now()}
    return ServiceCall.objects.create(task=task, lease_id=lease.id, url=url, **{**values, **fields})


def test_calls_to_services_are_told_in_the_order_of_time(operator: Client, make_task: MakeTask) -> None:
    task = make_task()
    now = timezone.now()
    called(task, "https://zaken.example.nl/zaken/2", began_at=now, method="PATCH", request_body='{"toelichting": "x"}')
    called(
        task,
        "https://zaken.example.nl/zaken/1",
        began_at=now - timedelta(seconds=1),
        status=None,
        error="no connection to zaken: refused",
    )
    page = page_of(operator, task)
    assert page.index("zaken/1") < page.index("zaken/2")
    assert "no connection to zaken: refused" in page
    assert page.count("<summary>Sent and answered</summary>") == 1
    assert "12 ms" in page


def test_queries_of_calls_are_for_operators(reader: Client, operator: Client, make_task: MakeTask) -> None:
    task = make_task()
    address = "https://zaken.example.nl/zaken?omschrijving=dakkapel"
    called(task, address, status=400)
    seen, read = page_of(reader, task), page_of(operator, task)
    assert "dakkapel" not in seen
    assert all(text in seen for text in ("GET", "https://zaken.example.nl/zaken<", "400"))
    assert "dakkapel" in read


def test_only_the_last_of_many_calls_are_shown_and_the_others_are_counted(reader: Client, make_task: MakeTask) -> None:
    task = make_task()
    for number in range(queries.MOST_CALLS + 2):
        called(task, f"https://zaken.example.nl/zaken/{number:03}")
    page = page_of(reader, task)
    assert "2 earlier calls are not shown" in page
    assert "zaken/001" not in page
    assert "zaken/002" in page


def test_a_task_without_calls_says_nothing_of_them(reader: Client, make_task: MakeTask) -> None:
    assert "Calls to services" not in page_of(reader, make_task())


def test_a_task_whose_data_retention_has_removed_says_so(reader: Client, make_task: MakeTask) -> None:
    emptied = make_task(result={"removed_by_retention": True}, emptied_at=Now() + timedelta(seconds=1))
    page = reader.get(f"/tasks/{emptied.pk}/").content.decode()
    assert "were removed by retention" in page
    assert page.count("Removed by retention.") == 2
    assert "The task was fetched without variables." not in page
    assert "removed_by_retention" not in page
    assert "removed by retention" not in reader.get(f"/tasks/{make_task().pk}/").content.decode()


def test_a_failed_task_that_its_engine_no_longer_knows_is_no_incident_any_more(
    reader: Client, make_task: MakeTask
) -> None:
    result = {"message": "HTTP 500", "details": "", "retries": 0, "wait_ms": 0}
    page = reader.get(f"/tasks/{make_task('lost', 'failed', result=result).pk}/").content.decode()
    assert "The engine no longer knows this task" in page
    assert "bptl tasks retry" not in page
