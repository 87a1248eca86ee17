"""The double as a program: ``python -m tests.doubles.zgw --port 8020``. It serves until it is stopped."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

from tests.doubles.zgw.double import COUNTS, LIMITED, ROOTS, ZgwDouble


def main() -> None:
    """Serve; say where."""
    parser = argparse.ArgumentParser(description="The ZGW APIs, the Objects and the Objecttypes API, in memory.")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--validate", action="store_true", help="hold messages against the OpenAPI descriptions")
    parser.add_argument("--data", type=Path, help="file that keeps everything from one start to the next")
    parser.add_argument(
        "--secret-env", help=f"environment variable with the secret of {LIMITED.client_id}; default: that of the tests"
    )
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with ZgwDouble(port=options.port, validate=options.validate, data=options.data) as double:
        if options.secret_env:
            # Whoever chose a secret does not want one that can be read in the sources.
            double.applications.clear()
            double.add_application(replace(LIMITED, secret=os.environ[options.secret_env]))
        for alias in ROOTS:
            print(f"{alias:<12} {double.root(alias)}")
        print(f"{'counts':<12} {double.url.rstrip('/')}{COUNTS}")
        for application in double.applications.values():
            secret = f"as {options.secret_env} says" if options.secret_env else application.secret
            rights = "all rights" if application.all_rights else "limited rights"
            print(f"client id {application.client_id}, secret {secret}, token {application.token}: {rights}")
        print(f"zaaktype {double.catalogue.zaaktype}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
