"""Whether a worker begins anew once it has drained: it may want that itself; who stops it from outside decides."""

from __future__ import annotations

import os
import signal


class Restart:
    """The wish of one process to be replaced by a fresh one, and the words to stop that it hears."""

    def __init__(self) -> None:
        self._wanted = False
        self._word_is_ours = False
        self._told_from_outside = False

    @property
    def due(self) -> bool:
        """Whether the process is to begin anew when it has ended its work."""
        return self._wanted and not self._told_from_outside

    def want(self) -> None:
        """Stop this process as SIGTERM from outside would, and begin anew then."""
        self._word_is_ours = self._wanted = True
        os.kill(os.getpid(), signal.SIGTERM)

    def told(self) -> None:
        """A word to stop has come. A signal does not say whose it is: one of them is our own, any other is not."""
        if self._word_is_ours:
            self._word_is_ours = False
        else:
            self._told_from_outside = True
