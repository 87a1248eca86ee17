"""Migrations of connections."""
