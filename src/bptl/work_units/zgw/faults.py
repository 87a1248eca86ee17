"""Work on several resources in one unit: each gets its turn, and every error is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from bptl.clients.errors import ServiceError
from bptl.work_units.contract import LeaseEnded, NeverAgain, TryAgain, Uncertain, WorkError


class Faults:
    """Errors of several resources, kept until all have had their turn.

        faults = Faults()
        for url in urls:
            with faults.kept(url):
                ...
        faults.tell()

    LeaseEnded is not kept: nothing may follow it. Neither are errors that nobody expects.
    """

    def __init__(self) -> None:
        self._kept: list[tuple[str, WorkError | ServiceError]] = []

    @contextmanager
    def kept(self, of: str) -> Iterator[None]:
        """Keep what goes wrong with the resource ``of``."""
        try:
            yield
        except LeaseEnded:
            raise
        except (WorkError, ServiceError) as error:
            self._kept.append((of, error))

    def tell(self) -> None:
        """Raise what was kept, if anything: one error as it is, several as one that names them all.

        One that is uncertain comes first, because a person must look. Then it is tried again as long as that can help
        any: what is permanent comes back at the last try.
        """
        if not self._kept:
            return
        errors = [error for _, error in self._kept]
        if len(errors) == 1:
            raise errors[0]
        text = f"{len(errors)} errors: " + "; ".join(f"{of}: {error}" for of, error in self._kept)
        for error in errors:
            if isinstance(error, Uncertain):
                raise Uncertain(error.key, text) from error
        again = [
            error
            for error in errors
            if isinstance(error, TryAgain) or (isinstance(error, ServiceError) and error.again)
        ]
        if again:
            delays = [error.delay for error in again if error.delay is not None]
            raise TryAgain(text, delay=max(delays, default=None, key=timedelta.total_seconds)) from again[0]
        raise NeverAgain(text) from errors[0]
