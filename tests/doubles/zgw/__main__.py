"""The double as a program: ``python -m tests.doubles.zgw --port 8020``. It serves until it is stopped."""

from __future__ import annotations

import argparse
import signal
import threading

from tests.doubles.zgw.double import ALL_RIGHTS, LIMITED, ROOTS, ZgwDouble


def main() -> None:
    """Serve; say where, and with which credentials."""
    parser = argparse.ArgumentParser(description="The ZGW APIs, the Objects and the Objecttypes API, in memory.")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--validate", action="store_true", help="hold messages against the OpenAPI descriptions")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with ZgwDouble(port=options.port, validate=options.validate) as double:
        for alias in ROOTS:
            print(f"{alias:<12} {double.root(alias)}")
        for application in (LIMITED, ALL_RIGHTS):
            rights = "all rights" if application.all_rights else "limited rights"
            print(
                f"client id {application.client_id}, secret {application.secret}, token {application.token}: {rights}"
            )
        print(f"zaaktype {double.catalogue.zaaktype}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
