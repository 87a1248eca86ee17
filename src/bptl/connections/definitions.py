"""The BPMN of process definitions, asked once: a definition never changes, a new version has a new id."""

from __future__ import annotations

import threading
from collections import OrderedDict

from bptl.connections import engines
from bptl.connections.models import Engine

KEPT = 64
"""Models that a process keeps: a few hundred kilobytes each at most."""

_lock = threading.Lock()
_known: OrderedDict[tuple[object, ...], str] = OrderedDict()


def xml(engine: Engine, definition_id: str) -> str:
    """The BPMN 2.0 XML of one definition of ``engine``.

    Raises base.EngineError (NotAuthorized when our user may not read definitions) and secrets.Undecryptable.
    """
    # A changed row may mean another engine or another user, who may not see what the former saw.
    key = (engine.pk, engine.updated_at, definition_id)
    with _lock:
        if key in _known:
            _known.move_to_end(key)
            return _known[key]
    found = engines.client(engine).definition_xml(definition_id)
    with _lock:
        _known[key] = found
        while len(_known) > KEPT:
            _known.popitem(last=False)
    return found
