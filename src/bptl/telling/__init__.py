"""Telling people that something goes wrong: incidents in groups, by mail and webhook, quiet after the first message."""
