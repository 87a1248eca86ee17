"""A real Flowable with its data in memory, built from Maven Central: an engine that calls instead of being polled."""

from __future__ import annotations

import json
import shutil
import tempfile
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stage.maven import FLOWABLE, engine_jar, java
from stage.ports import HOST, free_port
from stage.probes import answers
from stage.processes import Part

_QUICK = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class Flowable:
    """One engine process. ``properties`` are Spring properties, which its models can read as ``${environment…}``."""

    def __init__(self, *, properties: Mapping[str, str] | None = None, log: Path | None = None) -> None:
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}/process-api"
        self._properties = dict(properties or {})
        self._log = log
        self._home: Path | None = None
        self._part: Part | None = None

    def start(self, *, seconds: float = 180.0) -> None:
        """Build if needed, start, wait until the REST API answers; raises PartFailed and JavaMissing."""
        jar = engine_jar(FLOWABLE)
        self._home = self._home or Path(tempfile.mkdtemp(prefix="bptl-flowable-"))
        properties = {"server.port": str(self.port), "server.address": HOST, **self._properties}
        command = [java(), *_QUICK, "-jar", str(jar), *(f"--{name}={value}" for name, value in properties.items())]
        self._part = Part(FLOWABLE, command, log=self._log or self._home / "flowable.log", directory=self._home)
        self._part.start()
        self._part.wait_until(lambda: answers(f"{self.url}/management/engine"), seconds=seconds)

    def stop(self) -> None:
        """Stop the engine and remove its directory."""
        if self._part is not None:
            self._part.stop(grace=20)
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def call(self, method: str, path: str, *, body: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """One request to the REST API; its JSON. Raises urllib's HTTPError."""
        data = None if body is None else json.dumps(body).encode()
        return self._send(method, path, data, "application/json", query)

    def deploy(self, model: Path) -> None:
        """Deploy one BPMN file."""
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{model.name}"\r\n\r\n'
        data = head.encode() + model.read_bytes() + f"\r\n--{mark}--\r\n".encode()
        self._send("POST", "/repository/deployments", data, f"multipart/form-data; boundary={mark}", None)

    def start_case(self, process: str, variables: Mapping[str, Any]) -> str:
        """Start an instance of a process; its id."""
        given = [{"name": name, "value": value} for name, value in variables.items()]
        started = self.call(
            "POST", "/runtime/process-instances", body={"processDefinitionKey": process, "variables": given}
        )
        return str(started["id"])

    def ended(self, case: str) -> bool:
        """Whether an instance has ended, by its history."""
        return self.call("GET", f"/history/historic-process-instances/{case}")["endTime"] is not None

    def variables(self, case: str) -> dict[str, Any]:
        """The variables of an instance, by its history."""
        query = {"processInstanceId": case, "size": "100"}
        found = self.call("GET", "/history/historic-variable-instances", query=query)["data"]
        return {row["variable"]["name"]: row["variable"]["value"] for row in found}

    def activities(self, case: str) -> list[str]:
        """Ids of the activities that an instance has reached, by its history."""
        query = {"processInstanceId": case, "size": "100"}
        found = self.call("GET", "/history/historic-activity-instances", query=query)["data"]
        return [row["activityId"] for row in found]

    def _send(
        self, method: str, path: str, data: bytes | None, content_type: str, query: Mapping[str, str] | None
    ) -> Any:
        address = f"{self.url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        request = urllib.request.Request(address, data=data, headers={"Content-Type": content_type}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None
