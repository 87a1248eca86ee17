"""Can the broker be reached? For those who may not know which library carries the jobs."""

from __future__ import annotations

from kombu.exceptions import OperationalError

from bptl.workers.app import app

CONNECT_SECONDS = 5


class BrokerAway(Exception):
    """The broker at ``address`` (without its password) did not answer; ``reason`` is what the library said."""

    def __init__(self, *, address: str, reason: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(f"{address}: {reason}")


def ping() -> str:
    """Connect once, log in, and answer the broker's address without its password; raises BrokerAway."""
    options = {**app.conf.broker_transport_options, "socket_timeout": CONNECT_SECONDS}
    with app.connection_for_write(connect_timeout=CONNECT_SECONDS, transport_options=options) as connection:
        address = str(connection.as_uri())
        try:
            # For Redis this makes a channel, which asks the server for a sign of life.
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_SECONDS)
        except OperationalError as error:
            raise BrokerAway(address=address, reason=str(error) or type(error).__name__) from error
    return address
