"""Reads from a function's annotations what a work unit takes and answers."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

from bptl.work_units.pending import Pending
from bptl.work_units.validation import Inputs, Outputs


class Signature(NamedTuple):
    """``(work, inputs) -> outputs``; ``outputs`` None declares no variables, ``may_answer_nothing`` allows None, and
    ``may_wait`` allows Pending."""

    inputs: type[Inputs]
    outputs: type[Outputs] | None
    may_answer_nothing: bool
    may_wait: bool


def read_signature(name: str, function: Callable[..., Any]) -> Signature:
    """What ``function`` declares; raises TypeError saying what the unit called ``name`` must change."""
    if inspect.iscoroutinefunction(function):
        raise TypeError(f"{name}: a work unit is a plain function; it has a thread of its own")
    try:
        hints = typing.get_type_hints(function)
    except NameError as error:
        raise TypeError(f"{name}: declare inputs and outputs at module level ({error})") from error
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != 2:
        raise TypeError(f"{name}: a work unit takes exactly (work, inputs), not {parameters}")
    inputs = hints.get(parameters[1])
    if not (isinstance(inputs, type) and issubclass(inputs, Inputs)):
        raise TypeError(f"{name}: annotate {parameters[1]!r} with a subclass of Inputs")
    answer = hints.get("return", inspect.Signature.empty)
    union = typing.get_origin(answer) in (typing.Union, types.UnionType)
    answers = set(typing.get_args(answer)) if union else {answer}
    outputs = answers - {type(None), Pending}
    if not outputs:
        return Signature(inputs, None, True, Pending in answers)
    declared = outputs.pop()
    if outputs or not (isinstance(declared, type) and issubclass(declared, Outputs)):
        raise TypeError(f"{name}: annotate the answer with a subclass of Outputs, perhaps with | None, or with None")
    return Signature(inputs, declared, type(None) in answers, Pending in answers)
