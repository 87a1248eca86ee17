"""Several resources in one unit: each gets its turn, and the one error that comes out says what to do next."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bptl.clients.errors import Busy, Rejected
from bptl.work_units.contract import LeaseEnded, NeverAgain, TryAgain, Uncertain
from bptl.work_units.zgw.faults import Faults

REFUSED = Rejected("refused", service="drc", method="PATCH", url="https://drc/1", status=400)


def busy(seconds: int) -> Busy:
    return Busy("busy", service="drc", method="PATCH", url="https://drc/2", delay=timedelta(seconds=seconds))


def told(*errors: Exception) -> Exception:
    faults = Faults()
    for number, error in enumerate(errors, start=1):
        with faults.kept(f"document {number}"):
            raise error
    with pytest.raises(Exception, match=r".") as raised:
        faults.tell()
    return raised.value


def test_nothing_wrong_raises_nothing() -> None:
    faults = Faults()
    with faults.kept("document 1"):
        pass
    faults.tell()


def test_a_single_error_comes_out_as_it_was() -> None:
    assert told(REFUSED) is REFUSED


def test_several_permanent_errors_are_one_that_names_them_all() -> None:
    error = told(REFUSED, NeverAgain("no such service"))
    assert isinstance(error, NeverAgain)
    assert str(error) == "2 errors: document 1: refused; document 2: no such service"


def test_it_is_tried_again_when_that_can_help_any_of_them() -> None:
    error = told(REFUSED, busy(5), busy(30))
    assert isinstance(error, TryAgain)
    assert error.delay == timedelta(seconds=30)
    assert "document 1: refused" in str(error)
    without_delay = told(REFUSED, TryAgain("later"))
    assert isinstance(without_delay, TryAgain)
    assert without_delay.delay is None


def test_what_only_a_person_can_say_comes_first() -> None:
    error = told(busy(5), Uncertain("lock 1", "nobody knows"), REFUSED)
    assert isinstance(error, Uncertain)
    assert error.key == "lock 1"
    assert "3 errors" in str(error)


@pytest.mark.parametrize("error", [LeaseEnded("gone"), KeyError("a fault in the unit")])
def test_what_must_stop_the_unit_is_not_kept(error: Exception) -> None:
    faults = Faults()
    with pytest.raises(type(error)), faults.kept("document 1"):
        raise error
    faults.tell()
