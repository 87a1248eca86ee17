"""The ``bptl`` command: one verb per process and per need of an operator."""
