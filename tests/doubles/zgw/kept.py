"""A world in a file, so that a demonstration goes on tomorrow where it stopped today."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from tests.doubles.zgw.world import World


def save(world: World, path: Path) -> None:
    """Write everything; whoever stops meanwhile leaves the old file."""
    with world.lock:
        text = json.dumps(world.dump(), default=_encoded)
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def load(world: World, path: Path) -> None:
    """Read everything, if there is such a file."""
    if path.exists():
        with world.lock:
            world.restore(json.loads(path.read_text(), object_hook=_decoded))


def _encoded(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": b64encode(value).decode()}
    raise TypeError(type(value))


def _decoded(value: dict[str, Any]) -> Any:
    return b64decode(value["base64"]) if set(value) == {"base64"} else value
