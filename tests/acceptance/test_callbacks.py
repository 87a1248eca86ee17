"""A case whose task names an address: real processes call it, once, after the engine has gone on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stage.engines import SANDBOX
from stage.postgres import connect
from tests.acceptance.town import Town
from tests.doubles.outlet import Outlet


def test_the_receiver_of_a_case_is_called_when_the_engine_has_gone_on(tmp_path: Path) -> None:
    with Outlet() as outlet, Town.built(tmp_path, product=SANDBOX) as town:
        options = ("--kind", "orc", "--url", outlet.root, "--login", "no_auth")
        town.topology.bptl("services", "add", "ontvanger", *options)
        town.map("brief.sturen", "demo.quick")
        outlet.statuses = [500, 204]
        called = town.one_step("brief.sturen", business_key="een", callbackUrl=f"{outlet.root}klaar?token=geheim-1")
        nobody = town.one_step("brief.sturen", business_key="twee", callbackUrl="http://127.0.0.1:1/?token=geheim-2")
        silent = town.one_step("brief.sturen", business_key="drie")
        town.wait("the cases ended", lambda: town.ended(called, nobody, silent))
        town.wait("it is called", lambda: len(outlet.calls) == 1)
        town.wait("its error is noted", lambda: _callbacks(town, "een")[0]["status"] == 500)
        with connect(town.topology.postgres.environment()) as connection:
            # The minute until its next try is over.
            connection.execute("UPDATE tasks_callback SET next_try_at = now() WHERE state = 'waiting'")
        town.wait("it is tried again after an error", lambda: len(outlet.calls) == 2)
        assert {(call.method, call.path, call.body) for call in outlet.calls} == {
            ("POST", "/klaar?token=geheim-1", b"")
        }
        assert len({call.key for call in outlet.calls}) == 1, "a receiver can tell that it is the same one"
        (refused,), (delivered,), none = (_callbacks(town, key) for key in ("twee", "een", "drie"))
        assert (refused["state"], refused["tries"]) == ("refused", 1)
        assert "registered service" in refused["error"]
        town.wait("it is noted", lambda: _callbacks(town, "een")[0]["state"] == "delivered")
        assert delivered["url"] == f"{outlet.root}klaar?token=***"
        assert none == []
    for log in tmp_path.rglob("*.log"):
        assert "geheim-" not in log.read_text(errors="replace"), f"{log.name} holds what the query says"


def _callbacks(town: Town, business_key: str) -> list[dict[str, Any]]:
    """What BPTL says of the callbacks of a case."""
    (task,) = town.tasks(business_key=business_key)
    assert (task["status"], task["outcome"]) == ("delivered", "completed")
    shown = json.loads(town.topology.bptl("tasks", "show", str(task["id"]), "--json"))
    callbacks: list[dict[str, Any]] = shown["callbacks"]
    return callbacks
