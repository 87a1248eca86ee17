"""The page of callbacks: what waits, what was refused and why, and trying one again or dismissing it with a reason."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client

from bptl.tasks.models import Callback, Event, Task
from tests.integration.web.conftest import MakeTask

URL = "https://hooks.example.nl/bptl/klaar?token=geheim&bsn=123456782"
REFUSED = {"state": "refused", "error": "it belongs to nobody", "next_try_at": None, "ended_at": Now()}


def callback(task: Task, **fields: Any) -> Callback:
    values = {"url": URL, "place": "https://hooks.example.nl", "next_try_at": Now(), **fields}
    return Callback.objects.create(task=task, outcome_id=uuid.uuid4(), **values)


def page(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return answer.content.decode()


def test_it_shows_what_was_refused_and_why_and_nothing_of_the_query(reader: Client, make_task: MakeTask) -> None:
    task = make_task()
    callback(task, **REFUSED)
    shown = page(reader, "/callbacks/")
    assert "it belongs to nobody" in shown
    assert f"/tasks/{task.pk}/" in shown
    assert "https://hooks.example.nl/bptl/klaar?token=***" in shown.replace("&amp;", "&")
    assert "geheim" not in shown
    assert "123456782" not in shown


def test_it_is_filtered_by_state_and_goes_on_by_id(reader: Client, make_task: MakeTask) -> None:
    task = make_task()
    made = [callback(task) for _ in range(55)]
    refused = callback(task, **REFUSED)
    only = page(reader, "/callbacks/?state=refused")
    assert f'id="callback-{refused.pk}"' in only
    assert f'id="callback-{made[0].pk}"' not in only
    first = page(reader, "/callbacks/?state=waiting")
    assert first.count('id="callback-') == 50
    assert f"/callbacks/?state=waiting&amp;before={made[5].pk}" in first
    second = page(reader, f"/callbacks/?state=waiting&before={made[5].pk}")
    assert second.count('id="callback-') == 5
    assert 'rel="next"' not in second
    for nonsense in ("?state=nonsense", "?before=x", "?before=99999999999999999999999"):
        page(reader, f"/callbacks/{nonsense}")


def test_one_whose_task_is_not_delivered_says_what_it_waits_for(reader: Client, make_task: MakeTask) -> None:
    callback(make_task("performed"))
    assert "when the engine has taken the result" in page(reader, "/callbacks/")


def test_an_operator_has_it_tried_again_and_the_task_remembers_who_and_why(
    operator: Client, make_task: MakeTask
) -> None:
    task = make_task()
    refused = callback(task, **REFUSED)
    address = f"/callbacks/{refused.pk}/again/"
    asked = page(operator, address)
    assert "geheim" not in asked
    assert "it belongs to nobody" in asked
    operator.post(address, {"reason": ""})
    assert Callback.objects.get().state == "refused", "it needs a reason"
    assert operator.post(address, {"reason": "the list was extended"}).status_code == 302
    assert Callback.objects.get().state == "waiting"
    event = Event.objects.get()
    assert (event.task_id, event.name, event.actor) == (task.pk, "callback.tried_again", "operator")
    assert event.detail == {"reason": "the list was extended", "place": "https://hooks.example.nl"}
    page(operator, address, status=404)


def test_an_operator_dismisses_it_and_the_overview_points_to_it_no_more(operator: Client, make_task: MakeTask) -> None:
    task = make_task()
    refused = callback(task, **REFUSED)
    address = f"/callbacks/{refused.pk}/dismiss/"
    assert "geheim" not in page(operator, address)
    for leads in ("/callbacks/", f"/tasks/{task.pk}/"):
        assert address in page(operator, leads)
    assert "/callbacks/?state=" in page(operator, "/")
    operator.post(address, {"reason": ""})
    assert Callback.objects.get().state == "refused", "it needs a reason"
    assert operator.post(address, {"reason": "that register is gone"}).status_code == 302
    assert Callback.objects.get().state == "dismissed"
    assert "/callbacks/?state=" not in page(operator, "/")
    event = Event.objects.get()
    assert (event.task_id, event.name, event.actor) == (task.pk, "callback.dismissed", "operator")
    assert event.detail == {"reason": "that register is gone", "place": "https://hooks.example.nl"}
    page(operator, address, status=404)
    listed = page(operator, "/callbacks/?state=dismissed")
    assert "it belongs to nobody" in listed
    assert f"/callbacks/{refused.pk}/again/" in listed


@pytest.mark.parametrize("act", ["again", "dismiss"])
def test_who_only_looks_does_nothing_about_it(reader: Client, make_task: MakeTask, act: str) -> None:
    refused = callback(make_task(), **REFUSED)
    address = f"/callbacks/{refused.pk}/{act}/"
    page(reader, address, status=403)
    assert reader.post(address, {"reason": "why not"}).status_code == 403
    assert address not in page(reader, "/callbacks/")
    assert Callback.objects.get().state == "refused"


def test_one_without_an_address_cannot_be_tried_again_but_dismissed(operator: Client, make_task: MakeTask) -> None:
    refused = callback(make_task(), **REFUSED | {"url": "", "place": ""})
    page(operator, f"/callbacks/{refused.pk}/again/", status=404)
    assert "/again/" not in page(operator, "/callbacks/")
    assert operator.post(f"/callbacks/{refused.pk}/dismiss/", {"reason": "the model is mended"}).status_code == 302
    assert Callback.objects.get().state == "dismissed"


def test_an_address_that_cannot_be_read_breaks_no_page(operator: Client, make_task: MakeTask) -> None:
    task = make_task()
    callback(task, **REFUSED | {"url": "http://[::1/geheim", "place": ""})
    for address in ("/callbacks/", f"/tasks/{task.pk}/"):
        assert "geheim" not in page(operator, address)


def test_the_page_of_a_task_says_what_became_of_its_callback(operator: Client, make_task: MakeTask) -> None:
    task, other = make_task(), make_task()
    refused = callback(task, **REFUSED)
    shown = page(operator, f"/tasks/{task.pk}/")
    assert "it belongs to nobody" in shown
    assert f"/callbacks/{refused.pk}/again/" in shown
    assert "geheim" not in shown
    assert "callback-heading" not in page(operator, f"/tasks/{other.pk}/")


def test_the_overview_leads_to_those_that_were_refused(reader: Client, make_task: MakeTask) -> None:
    waiting = callback(make_task())
    assert "/callbacks/?state=" not in page(reader, "/")
    Callback.objects.filter(pk=waiting.pk).update(**REFUSED)
    assert "/callbacks/?state=refused" in page(reader, "/")
    Callback.objects.filter(pk=waiting.pk).update(state="given_up")
    assert "/callbacks/?state=given_up" in page(reader, "/")
