"""What an HTTP answer means: again later, never again, or nothing wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from bptl.work_units.answers import Later, RefusedByService, Unanswered, check, retry_after
from bptl.work_units.contract import DidNotHappen, NeverAgain, Refused, TryAgain


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_success_raises_nothing(status: int) -> None:
    check(status)
    assert retry_after({}) is None


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_tried_again_and_may_have_happened(status: int) -> None:
    with pytest.raises(TryAgain) as error:
        check(status, text="boom", what="Zaken API")
    assert isinstance(error.value, Unanswered)
    assert not isinstance(error.value, DidNotHappen)
    assert str(error.value) == f"Zaken API answered {status}: boom"


def test_too_many_requests_waits_as_long_as_the_service_says_and_did_not_happen() -> None:
    with pytest.raises(Later) as error:
        check(429, headers={"Retry-After": "120"})
    assert isinstance(error.value, DidNotHappen)
    assert error.value.delay == timedelta(seconds=120)


def test_retry_after_may_be_a_date() -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    wait = retry_after({"retry-after": format_datetime(at, usegmt=True)})
    assert wait is not None
    assert timedelta(minutes=59) < wait <= timedelta(hours=1)
    assert retry_after({"Retry-After": "soon"}) is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_another_refusal_is_final_and_did_not_happen(status: int) -> None:
    with pytest.raises(RefusedByService) as error:
        check(status)
    assert isinstance(error.value, Refused)
    assert error.value.status == status


def test_a_redirect_is_not_followed() -> None:
    with pytest.raises(NeverAgain, match="302"):
        check(302)
