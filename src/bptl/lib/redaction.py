"""Text that leaves memory loses secrets: what looks like a credential or is known to be one, and numbers of citizens.

Patterns find what no one told us of, such as the token of somebody else in the answer of a service. What this process
itself uses as a secret is known (``remember``) and found in whatever form it comes back.
"""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from urllib.parse import quote

HIDDEN = "***"

SHORTEST_KNOWN = 8
"""Characters: shorter secrets would hide words that merely look the same."""

MOST_KNOWN = 500
"""Values, the newest: each one is looked for in every text."""

# fmt: off
SECRET_NAMES = frozenset(
    {
        "accesstoken", "apikey", "auth", "authorization", "clientsecret", "cookie", "idtoken", "jwt", "passphrase",
        "passwd", "password", "privatekey", "proxyauthorization", "refreshtoken", "secret", "secretkey", "setcookie",
        "token", "wachtwoord", "xapikey", "xauthtoken",
    }
)
# fmt: on
"""Names of fields, without case, ``-`` and ``_``."""

BSN_NAMES = frozenset({"bsn", "burgerservicenummer", "inpbsn", "anummer", "inpanummer"})

_NAME = (
    r"(?:password|passwd|passphrase|wachtwoord|secret(?:[_-]?key)?|api[_-]?key|private[_-]?key"
    r"|(?:access|refresh|id|auth|csrf)[_-]?token)"
)
_ANY_SECRET = re.compile(
    r"authorization|cookie|bearer|basic|token|passw|wachtwoord|passphrase|secret|key|://|eyJ|sig|\d{9}", re.IGNORECASE
)
"""What every pattern below needs: most texts hold none of it, and cost one look."""

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")
_CREDENTIAL = re.compile(r"\b((?i:Bearer|Basic|Token|ApiKey|Digest))\s+(?=\S*[A-Z0-9=])[A-Za-z0-9+/._~=-]{6,}")
_HEADER = re.compile(
    r"(?i:\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-auth-token)(['\"]?\s*[:=]\s*))(['\"]?)"
    r"(?!\s*(?:Bearer|Basic|Token|ApiKey|Digest) \*\*\*)[^\r\n'\"]+"
)
_NAMED = re.compile(rf"(?i:({_NAME})(['\"]?\s*[=:]\s*['\"]?))[^\s\"',;&}}]+")
_TOKEN = re.compile(r"(?i:(\btoken)(=['\"]?|['\"]\s*:\s*['\"]|:\s*(?=[\w.+/=-]*\d)(?=[\w.+/=-]{12})))[^\s\"',;&}]+")
_IN_QUERY = re.compile(
    r"(?i:([?&](?:[\w-]*(?:token|key|secret|password|passwd|wachtwoord|signature|auth)|sig|jwt)=))[^&#\s\"'<>]+"
)
_IN_URL = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
_NINE_DIGITS = re.compile(r"(?<![\w.-])\d{9}(?![\w-])")

_lock = threading.Lock()
_remembered: dict[str, None] = {}
_known: tuple[str, ...] = ()


def remember(secret: str) -> None:
    """From now on no text that is redacted in this process shows ``secret``, nor the forms in which it travels.

    Too short ones are left alone, and keys in PEM, which are known by their form.
    """
    global _known  # noqa: PLW0603 - replaced whole: who reads it needs no lock
    if secret in _remembered or len(secret) < SHORTEST_KNOWN or "-----BEGIN" in secret:
        return
    with _lock:
        for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], b64encode(secret.encode()).decode()):
            _remembered[form] = None
        while len(_remembered) > MOST_KNOWN:
            del _remembered[next(iter(_remembered))]
        # Longest first: one that is part of another would leave the rest of it.
        _known = tuple(sorted(_remembered, key=len, reverse=True))


_OWN = re.compile(r"\bbptl_[A-Za-z0-9_-]{40,}")
"""Keys that BPTL makes itself: each begins with its name, so that it is known wherever it turns up."""


def redact(text: str) -> str:
    """``text`` without known secrets, what looks like a credential, and what is a BSN by its eleven test."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    text = without_own_keys(text)
    if not _ANY_SECRET.search(text):
        return text
    text = _PRIVATE_KEY.sub(HIDDEN, text)
    text = _CREDENTIAL.sub(rf"\1 {HIDDEN}", text)
    text = _JWT.sub(HIDDEN, text)
    text = _HEADER.sub(rf"\1\2\3{HIDDEN}", text)
    text = _IN_QUERY.sub(rf"\1{HIDDEN}", text)
    text = _NAMED.sub(rf"\1\2{HIDDEN}", text)
    text = _TOKEN.sub(rf"\1\2{HIDDEN}", text)
    text = _IN_URL.sub(HIDDEN, text)
    return _NINE_DIGITS.sub(lambda found: HIDDEN if is_bsn(found[0]) else found[0], text)


def hides(name: str) -> bool:
    """Whether the value of a field with this name is never shown, whatever it is."""
    word = name.lower().replace("_", "").replace("-", "")
    return word in BSN_NAMES or word in SECRET_NAMES or word.endswith(("bsn", "burgerservicenummer"))


def is_bsn(digits: str) -> bool:
    """The eleven test of the burgerservicenummer: 9·d1 + 8·d2 + … + 2·d8 - d9 is a multiple of eleven (and not 0)."""
    if len(digits) != 9 or not digits.isdigit():
        return False
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    total = sum(weight * int(digit) for weight, digit in zip(weights, digits, strict=True))
    return total > 0 and total % 11 == 0


def without_own_keys(text: str) -> str:
    """Take out the keys that BPTL makes; cheap where there are none."""
    return _OWN.sub(f"bptl_{HIDDEN}", text) if "bptl_" in text else text
