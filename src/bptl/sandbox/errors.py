"""What the engine answers instead of a result: an HTTP status with Camunda's error type, message and code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class EngineError(Exception):
    """``status``, ``type`` and ``code`` are those of Camunda's REST API; ``details`` go into a ParseException."""

    status = 500
    type = "ProcessEngineException"

    def __init__(self, message: str, *, code: int | None = 0, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details

    def body(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        extra = {"details": dict(self.details)} if self.details is not None else {}
        return {"type": self.type, "message": self.message, "code": self.code, **extra}


class NotThere(EngineError):
    """404: no such task, instance, …"""

    status = 404
    type = "RestException"


class NoResource(EngineError):
    """404 of a resource (definition, variable) that Camunda reports as an invalid request."""

    status = 404
    type = "InvalidRequestException"


class NoPath(EngineError):
    """404 of a path that this API does not have."""

    status = 404
    type = "NotFoundException"


class Invalid(EngineError):
    """400: a request that cannot be read."""

    status = 400
    type = "InvalidRequestException"


class Refused(EngineError):
    """400: a request that is understood and not allowed now."""

    status = 400
    type = "RestException"


class ModelRefused(EngineError):
    """400: a model that cannot be read, or that the sandbox would execute wrongly."""

    status = 400
    type = "ParseException"


class LoginWanted(EngineError):
    """401 of a resource that wants to know who asks."""

    status = 401
    type = "InvalidRequestException"
