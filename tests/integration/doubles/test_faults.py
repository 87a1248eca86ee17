"""Misbehaviour on demand: what a caller sees, and what happened all the same."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.doubles.zgw.double import ZgwDouble
from tests.doubles.zgw.faults import Kind
from tests.integration.doubles.caller import Caller, codes
from tests.integration.waiting import until

ZAKEN = "/zaken/api/v1/zaken"


@pytest.mark.parametrize(("kind", "made"), [("500-before", 0), ("500-after", 1), ("503", 0), ("429", 0)])
def test_an_error_says_nothing_of_what_happened(bptl: Caller, zgw: ZgwDouble, kind: Kind, made: int) -> None:
    zgw.fault(ZAKEN, kind=kind, retry_after=7 if kind in {"503", "429"} else None)
    response = bptl.post("zrc/zaken", bptl.zaak_body(identificatie="ZAAK-1"))
    assert (response.status_code, zgw.count("zaken", "ZAAK-1")) == (int(kind[:3]), made)
    assert response.headers.get("Retry-After") == ("7" if kind in {"503", "429"} else None)


@pytest.mark.parametrize(("kind", "made"), [("cut-before", 0), ("cut-after", 1)])
def test_a_cut_says_nothing_either(bptl: Caller, zgw: ZgwDouble, kind: Kind, made: int) -> None:
    zgw.fault(ZAKEN, kind=kind)
    with pytest.raises(requests.ConnectionError):
        bptl.post("zrc/zaken", bptl.zaak_body(identificatie="ZAAK-1"))
    assert zgw.count("zaken", "ZAAK-1") == made


def test_whoever_repeats_a_create_that_worked_is_told_so_by_the_identificatie(bptl: Caller, zgw: ZgwDouble) -> None:
    zgw.fault(ZAKEN, kind="500-after")
    bptl.post("zrc/zaken", bptl.zaak_body(identificatie="ZAAK-1"))
    again = bptl.post("zrc/zaken", bptl.zaak_body(identificatie="ZAAK-1"))
    assert codes(again) == [("identificatie", "identificatie-niet-uniek")]
    assert zgw.count("zaken", "ZAAK-1") == 1


def test_a_fault_is_met_by_its_path_its_method_and_so_many_times(bptl: Caller, zgw: ZgwDouble) -> None:
    fault = zgw.fault("/zaken/*", kind="503", method="POST", times=2)
    assert bptl.get("zrc/zaken").status_code == 200
    assert bptl.get("ztc/zaaktypen").status_code == 200
    answers = [bptl.post("zrc/zaken", bptl.zaak_body()).status_code for _ in range(3)]
    assert (answers, fault.met) == ([503, 503, 201], 2)


def test_a_slow_call_is_carried_out_when_its_time_has_come(bptl: Caller, zgw: ZgwDouble) -> None:
    released = threading.Event()
    fault = zgw.fault(ZAKEN, kind="slow", method="POST", until=released)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(bptl.post, "zrc/zaken", bptl.zaak_body(identificatie="ZAAK-1"))
        until(lambda: fault.met == 1)
        assert zgw.count("zaken", "ZAAK-1") == 0
        released.set()
        assert (answer.result(10).status_code, zgw.count("zaken", "ZAAK-1")) == (201, 1)


def test_a_call_can_work_long_before_its_answer_comes(bptl: Caller, zgw: ZgwDouble) -> None:
    released = threading.Event()
    fault = zgw.fault(ZAKEN, kind="slow-after", until=released)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(bptl.post, "zrc/zaken", bptl.zaak_body(identificatie="ZAAK-1"))
        until(lambda: fault.waited == 1)
        assert (zgw.count("zaken", "ZAAK-1"), answer.done()) == (1, False)
        released.set()
        assert answer.result(10).status_code == 201


def test_many_callers_at_once_make_one_zaak_of_one_identificatie(zgw: ZgwDouble) -> None:
    def create(_: int) -> int:
        caller = Caller(zgw)
        return caller.post("zrc/zaken", caller.zaak_body(identificatie="ZAAK-1")).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, range(8)))
    assert sorted(answers) == [201] + [400] * 7
    assert zgw.count("zaken", "ZAAK-1") == 1
