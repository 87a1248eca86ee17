"""Environments for processes that are not production: fresh secrets, and addresses where nobody lives."""

from __future__ import annotations

import base64
import secrets

from stage.ports import HOST


def fresh_secrets() -> dict[str, str]:
    """The secrets and hosts that BPTL asks for, made for one run; nothing of it is ever written into a file."""
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "BPTL_ENCRYPTION_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "ALLOWED_HOSTS": f"{HOST},localhost",
    }


def without_servers() -> dict[str, str]:
    """Settings that load although no server runs: port 1 refuses every connection at once."""
    return {
        **fresh_secrets(),
        "DB_HOST": HOST,
        "DB_PORT": "1",
        "DB_NAME": "nobody",
        "DB_USER": "nobody",
        "DB_PASSWORD": "nobody",
        "CELERY_BROKER_URL": f"redis://{HOST}:1/0",
    }
