"""The double as a program and as a file: what the demo relies on."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import requests

from stage.ports import free_port
from stage.probes import answers
from stage.processes import Part, Stage
from tests.doubles.zgw.double import COUNTS, LIMITED, ZgwDouble
from tests.integration.doubles.caller import Caller


def test_a_kept_world_goes_on_where_it_stopped_at_another_address_too(tmp_path: Path) -> None:
    data = tmp_path / "zgw.json"
    with ZgwDouble(data=data) as first:
        caller = Caller(first)
        zaak, document = caller.zaak("ZAAK-1"), caller.document(b"\x00\xff")
        caller.relate(zaak, document)
        number = caller.zaak()["identificatie"]
    with ZgwDouble(data=data) as second:
        caller = Caller(second)
        again = caller.get(f"zrc/zaken/{zaak['uuid']}").json()
        assert again["zaaktype"] == second.catalogue.zaaktype
        [relation] = caller.get(f"zrc/zaakinformatieobjecten?zaak={again['url']}").json()
        inhoud = caller.get(relation["informatieobject"]).json()["inhoud"]
        assert caller.get(inhoud, headers={"Accept": "*/*"}).content == b"\x00\xff"
        assert caller.zaak()["identificatie"] != number
        assert caller.get("ac/applicaties").json()["count"] == 2
        assert (second.count("zaken", "ZAAK-1"), second.count("zaken")) == (1, 3)
        assert second.violations == []


def test_the_program_serves_with_a_secret_of_its_environment_and_counts(tmp_path: Path) -> None:
    secret, port = "een geheim van minstens 32 bytes, van elders", free_port()
    command = [sys.executable, "-m", "tests.doubles.zgw", "--port", str(port), "--secret-env", "ZGW_SECRET"]
    environment = {**os.environ, "ZGW_SECRET": secret}
    url = f"http://127.0.0.1:{port}"
    with Stage() as stage:
        part = stage.add(Part("zgw", command, log=tmp_path / "zgw.log", environment=environment))
        part.start()
        part.wait_until(lambda: answers(url + COUNTS), seconds=30)
        with ZgwDouble() as elsewhere:
            caller = Caller(elsewhere, replace(LIMITED, secret=secret))
            zaaktype = caller.get(f"{url}/catalogi/api/v1/zaaktypen").json()["results"][-1]["url"]
            caller.made(f"{url}/zaken/api/v1/zaken", caller.zaak_body(zaaktype=zaaktype))
        assert requests.get(url + COUNTS, timeout=5).json()["made"]["zaken"] == 1
    assert part.exit_code == 0
    assert secret not in part.log.read_text()
