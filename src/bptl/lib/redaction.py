"""Text that people and databases will see loses what looks like a credential."""

from __future__ import annotations

import re

_CREDENTIAL = re.compile(r"\b((?i:Bearer|Basic|Token))\s+(?=\S*[A-Z0-9=])[A-Za-z0-9+/._~=-]{6,}")
_NAMED = re.compile(
    r"(?i:\b(password|passwd|secret|api[_-]?key|access[_-]?token|client[_-]?secret))(\"?\s*[=:]\s*\"?)[^\s\"',;&]+"
)
_IN_URL = re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)")

_OWN = re.compile(r"\bbptl_[A-Za-z0-9_-]{40,}")
"""Keys that BPTL makes itself: each begins with its name, so that it is known wherever it turns up."""


def redact(text: str) -> str:
    """Take out what looks like a credential."""
    text = without_own_keys(text)
    return _NAMED.sub(r"\1\2***", _IN_URL.sub("***", _CREDENTIAL.sub(r"\1 ***", text)))


def without_own_keys(text: str) -> str:
    """Take out the keys that BPTL makes; cheap where there are none."""
    return _OWN.sub("bptl_***", text) if "bptl_" in text else text
