"""Any API over HTTP, by its paths: for services that have no typed client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bptl.clients.client import ServiceClient
from bptl.clients.errors import Unreadable
from bptl.lib.http import Answer


class JsonClient(ServiceClient):
    """Speaks with a service of any kind. An answer becomes a variable of a process, so its size is kept small."""

    most_bytes = 5 * 1024 * 1024

    def exchange(self, method: str, path: str, **options: Any) -> tuple[Answer, Any]:
        """``call``, with what the body says: JSON where it is that, None where it is empty, else its text.

        Raises Unreadable for an answer that calls itself JSON and is not.
        """
        answer = self._as_in_data(self.call(method, path, **options))
        if not answer.body:
            return answer, None
        if "json" not in _content_type(answer.headers):
            return answer, answer.text
        try:
            return answer, answer.json()
        except ValueError as error:
            raise Unreadable(
                f"{self.access.service} answered {answer.status} to {method} {path} with what calls itself JSON and is "
                f"not: {' '.join(answer.text.split())[:200]}",
                service=self.access.service,
                method=method,
                url=path,
                status=answer.status,
            ) from error


def _content_type(headers: Mapping[str, str]) -> str:
    return next((value for name, value in headers.items() if name.lower() == "content-type"), "").lower()
