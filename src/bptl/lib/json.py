"""JSON as PostgreSQL stores it."""

from __future__ import annotations

import json
import re
from typing import Any

# An unescaped \u0000: an even number of backslashes before it. jsonb cannot hold that character.
_NULL_CHARACTER = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


_STORED = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def plain(value: Any) -> Any:
    """The value as it comes back from jsonb. Raises TypeError or ValueError for what no database takes."""
    came_back = json.loads(storable(value))
    json.dumps(came_back, ensure_ascii=False).encode()  # half a surrogate pair is JSON and no text
    return came_back


def storable_text(text: str) -> str:
    """Text as PostgreSQL takes it: the null character becomes U+FFFD, half a surrogate pair a question mark."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def storable(value: Any) -> str:
    """JSON text that jsonb takes: the null character, which it refuses, becomes U+FFFD. Raises ValueError for NaN."""
    text = _STORED.encode(value)
    return _NULL_CHARACTER.sub(r"\1\\ufffd", text) if "\\u0000" in text else text
