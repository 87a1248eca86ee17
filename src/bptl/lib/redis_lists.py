"""How long lists in a Redis or Valkey are: what waits in the queues of a broker."""

from __future__ import annotations

from collections.abc import Sequence

import redis


class ListsAway(Exception):
    """The server did not answer; ``reason`` is what the library said, which names no password."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def lengths(address: str, names: Sequence[str], *, timeout: float) -> dict[str, int]:
    """The length of each list, 0 for one that is not there; ``timeout`` in seconds. Raises ListsAway."""
    # Celery's word for a socket is another one than the library's.
    address = address.replace("redis+socket://", "unix://", 1)
    try:
        with redis.Redis.from_url(address, socket_timeout=timeout, socket_connect_timeout=timeout) as server:
            pipeline = server.pipeline(transaction=False)
            for name in names:
                pipeline.llen(name)
            return dict(zip(names, pipeline.execute(), strict=True))
    except redis.RedisError as error:
        raise ListsAway(str(error).rstrip(".") or type(error).__name__) from error
