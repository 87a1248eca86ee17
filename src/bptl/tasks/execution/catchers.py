"""Is a BPMN error caught? An uncaught one would end its execution in silence, so it becomes an incident instead."""

from __future__ import annotations

from enum import StrEnum

from bptl.connections import definitions
from bptl.connections.models import Engine as EngineRow
from bptl.engines.base import Engine, EngineError
from bptl.engines.bpmn import UnreadableModel, called_activities, catches_error
from bptl.lib.log import get_logger

log = get_logger(__name__)

DEEPEST = 10
"""Levels of calling processes that are followed."""


class Caught(StrEnum):
    """What is known of the catcher of a BPMN error."""

    YES = "yes"
    NO = "no"
    NOT_CHECKED = "not checked"


def caught(
    row: EngineRow | None, engine: Engine, *, definition_id: str, instance_id: str, activity_id: str, code: str
) -> Caught:
    """Whether the model of an instance, or of the processes that called it, catches ``code`` thrown by ``activity_id``.

    Reading models needs READ on process definition; without it, and without an engine, the answer is *not checked*.
    """
    if row is None:
        return Caught.NOT_CHECKED
    try:
        if catches_error(definitions.xml(row, definition_id), activity_id, code):
            return Caught.YES
        return _caught_by_callers(row, engine, instance_id=instance_id, definition_id=definition_id, code=code)
    except (EngineError, UnreadableModel) as error:
        log.info("error_code.not_checked", code=code, definition=definition_id, reason=str(error))
        return Caught.NOT_CHECKED


def _caught_by_callers(row: EngineRow, engine: Engine, *, instance_id: str, definition_id: str, code: str) -> Caught:
    for _ in range(DEEPEST):
        caller = engine.caller(instance_id)
        if caller is None:
            return Caught.NO
        key = definition_id.partition(":")[0]
        xml = definitions.xml(row, caller.definition_id)
        if any(catches_error(xml, activity, code) for activity in called_activities(xml, key)):
            return Caught.YES
        instance_id, definition_id = caller.id, caller.definition_id
    return Caught.NOT_CHECKED
