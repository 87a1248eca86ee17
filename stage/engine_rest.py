"""What demo and tests do at an engine as its administrator; apart from BPTL's own client, so that tests check it."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

_GRANT = 1


class EngineRefused(Exception):
    """The engine answered with an error status."""

    def __init__(self, method: str, path: str, *, status: int, text: str) -> None:
        self.status = status
        self.text = text
        super().__init__(f"{method} {path}: {status} {text}")


class EngineRest:
    """The REST API of a Camunda 7 family engine at ``url`` (…/engine-rest) as one user."""

    def __init__(self, url: str, *, user: str, password: str) -> None:
        self.url = url
        self._authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None, timeout: float = 30.0
    ) -> Any:
        """One request with a JSON body; the JSON answer or None; raises EngineRefused; ``timeout`` in seconds."""
        data = None if body is None else json.dumps(body).encode()
        return self._send(
            method, path + ("?" + urlencode(query) if query else ""), data, "application/json", timeout=timeout
        )

    def version(self) -> str:
        """The engine's version, such as ``1.0.3``."""
        return str(self.call("GET", "/version")["version"])

    def has_user(self, user_id: str) -> bool:
        """Whether this user exists; False where users cannot be listed (the sandbox: there to create is to replace)."""
        try:
            return bool(self.call("GET", "/user", query={"id": user_id}))
        except EngineRefused as error:
            if error.status != 404:
                raise
            return False

    def create_user(self, user_id: str, *, password: str) -> None:
        """Create a user without any permission."""
        profile = {"id": user_id, "firstName": user_id, "lastName": user_id}
        self.call("POST", "/user/create", body={"profile": profile, "credentials": {"password": password}})

    def grant(self, user_id: str, *, resource_type: int, resource_id: str = "*", permissions: Sequence[str]) -> None:
        """Grant permissions; resource types: 6 process definition, 8 process instance, 9 deployment."""
        self.call(
            "POST",
            "/authorization/create",
            body={
                "type": _GRANT,
                "userId": user_id,
                "resourceType": resource_type,
                "resourceId": resource_id,
                "permissions": list(permissions),
            },
        )

    def deploy(self, model: Path, *, name: str | None = None, tenant_id: str | None = None) -> dict[str, Any]:
        """Deploy one BPMN file; the deployment as the engine describes it."""
        boundary = uuid.uuid4().hex
        fields = {"deployment-name": name or model.stem, **({"tenant-id": tenant_id} if tenant_id else {})}
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
            for key, value in fields.items()
        ]
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{model.name}"; filename="{model.name}"\r\n\r\n'
        parts += [head.encode(), model.read_bytes(), f"\r\n--{boundary}--\r\n".encode()]
        kind = f"multipart/form-data; boundary={boundary}"
        deployed: dict[str, Any] = self._send("POST", "/deployment/create", b"".join(parts), kind, timeout=60.0)
        return deployed

    def start(
        self, key: str, *, variables: Mapping[str, Any] | None = None, business_key: str | None = None
    ) -> dict[str, Any]:
        """Start an instance of the newest definition with this key.

        ``variables``: plain values, or {"value", "type", "valueInfo"} where the engine must be told the type.
        """
        typed = {
            name: value if isinstance(value, dict) and "value" in value else {"value": value}
            for name, value in (variables or {}).items()
        }
        started: dict[str, Any] = self.call(
            "POST", f"/process-definition/key/{key}/start", body={"variables": typed, "businessKey": business_key}
        )
        return started

    def running(self, *, key: str | None = None) -> int:
        """The number of instances that have not ended."""
        return self._count(key, "unfinished")

    def ended(self, *, key: str | None = None) -> int:
        """The number of instances that have reached an end event."""
        return self._count(key, "completed")

    def variables(self, instance_id: str) -> dict[str, Any]:
        """The variables of a running or ended instance, from the history: name → value (objects as their text)."""
        query = {"processInstanceId": instance_id, "deserializeValues": "false"}
        rows = self.call("GET", "/history/variable-instance", query=query)
        return {row["name"]: row["value"] for row in rows}

    def user_tasks(self, *, key: str) -> list[dict[str, Any]]:
        """User tasks of the running instances of the process ``key``."""
        found: list[dict[str, Any]] = self.call("GET", "/task", query={"processDefinitionKey": key})
        return found

    def incidents(self) -> list[dict[str, Any]]:
        """All open incidents."""
        found: list[dict[str, Any]] = self.call("GET", "/incident")
        return found

    def _count(self, key: str | None, state: str) -> int:
        query = {state: "true", **({"processDefinitionKey": key} if key else {})}
        return int(self.call("GET", "/history/process-instance/count", query=query)["count"])

    def _send(self, method: str, path: str, data: bytes | None, kind: str, *, timeout: float) -> Any:
        headers = {"Authorization": self._authorization, "Content-Type": kind}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            raise EngineRefused(method, path, status=error.code, text=text) from error
        return json.loads(content) if content else None
