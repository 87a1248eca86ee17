"""Engines and mappings: what we may reach, with which secrets; a row becomes a live client."""
