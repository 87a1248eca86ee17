"""Migrations of the heart."""
