"""A skip may hide that nothing was tested: in CI it must be allowed by name."""

from __future__ import annotations

import pytest

from tests.accounting import SkipAccounts


@pytest.fixture
def accounts() -> SkipAccounts:
    accounts = SkipAccounts()
    accounts.skips = [("tests/engines/test_contract.py::test_fetch", "Java is missing")]
    return accounts


def test_a_skip_on_a_laptop_is_only_reported(accounts: SkipAccounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert accounts.refused() == []


def test_a_skip_in_ci_is_refused(accounts: SkipAccounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("BPTL_ALLOWED_SKIPS", raising=False)
    assert accounts.refused() == accounts.skips


@pytest.mark.parametrize("name", ["tests/engines/test_contract.py", "Java is missing", "something else, Java is"])
def test_a_skip_in_ci_may_be_allowed_by_test_file_or_reason(
    accounts: SkipAccounts, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("BPTL_ALLOWED_SKIPS", name)
    assert accounts.refused() == []


def test_allowing_one_name_allows_no_other(accounts: SkipAccounts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("BPTL_ALLOWED_SKIPS", ", test_other")
    assert accounts.refused() == accounts.skips
