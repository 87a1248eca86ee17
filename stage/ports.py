"""Free TCP ports on 127.0.0.1."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"

# Below the ranges from which Linux and macOS take the ports of outgoing connections: a port found here is still free
# minutes later, when a server that is started lazily binds it.
_CANDIDATES = range(20_000, 32_000)
_given: set[int] = set()


def is_free(port: int) -> bool:
    """Whether nobody listens on it now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(*, wanted: int | None = None) -> int:
    """A port that nobody listens on and that this process has not given out before; ``wanted`` if it is such a one."""
    random_source = random.SystemRandom()
    tried = [wanted] if wanted is not None else []
    for port in (*tried, *(random_source.choice(_CANDIDATES) for _ in range(1_000))):
        if port in _given:
            continue
        if not is_free(port):
            continue
        _given.add(port)
        return port
    raise OSError(f"no free port between {_CANDIDATES.start} and {_CANDIDATES.stop} on {HOST}")
