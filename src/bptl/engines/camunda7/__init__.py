"""Camunda 7, Operaton and CIB seven over their common REST API."""
