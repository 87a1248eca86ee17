"""Questions that a server answers when it is ready."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request

from stage.ports import HOST


def listens(port: int, *, timeout: float = 1.0) -> bool:
    """Whether something accepts connections on this port of 127.0.0.1; ``timeout`` in seconds."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout):
            return True
    except OSError:
        return False


def answers(url: str, *, status: int = 200, timeout: float = 2.0) -> bool:
    """Whether GET on an http address is answered with this status; ``timeout`` in seconds."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return bool(answer.status == status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == status
    except OSError:
        return False
