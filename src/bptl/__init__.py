"""BPTL, the Business Process Task Library: external tasks of a BPMN engine, fetched, worked on and reported."""

__version__ = "0.1.0"
