"""The list of contract cases that the sandbox is spared stays true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bptl.sandbox.errors import ModelRefused
from bptl.sandbox.parse import processes
from tests.engines.not_in_sandbox import NOT_IN_SANDBOX, REFUSED_MODELS

ENGINES = Path(__file__).resolve().parents[2] / "engines"


def test_every_exception_names_a_case_of_the_contract() -> None:
    cases = {
        name
        for path in ENGINES.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert set(NOT_IN_SANDBOX) - cases == set()


@pytest.mark.parametrize("model", sorted(path.name for path in (ENGINES / "models").glob("*.bpmn")))
def test_the_models_that_are_left_out_are_exactly_those_that_are_refused(model: str) -> None:
    content = (ENGINES / "models" / model).read_bytes()
    if model not in REFUSED_MODELS:
        assert processes(content, resource=model)
        return
    with pytest.raises(ModelRefused, match=f"{REFUSED_MODELS[model]}: .*Java"):
        processes(content, resource=model)
