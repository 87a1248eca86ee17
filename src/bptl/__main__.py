"""``python -m bptl`` is ``bptl``."""

from __future__ import annotations

from bptl.cli.main import main

main()
