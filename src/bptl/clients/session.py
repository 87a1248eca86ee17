"""Kept connections to one service, shared by all threads and applications of a process."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any

from ape_pie import APIClient
from requests.adapters import HTTPAdapter

Certificate = str | tuple[str, str]


class _Kept(APIClient):
    """Outside a ``with`` block an APIClient closes its connections after each call; this one is never in one."""

    _in_context_manager = True

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """What requests makes of a session and the environment, but the authorities of a session stay what they are.

        Requests would let REQUESTS_CA_BUNDLE win over them.
        """
        if verify is None and self.verify is not True:
            verify = self.verify
        return super().merge_environment_settings(url, proxies, stream, verify, cert)


def open_session(
    root: str,
    *,
    connections: int = 16,
    verify: str | bool = True,
    certificate: Certificate | None = None,
    headers: Mapping[str, str] | None = None,
) -> APIClient:
    """A session for addresses below ``root`` only; it refuses others, so that no credentials go astray.

    ``verify`` is a file of certificate authorities where the system's are not meant; ``certificate`` is our own, with
    its key, as files; ``headers`` go with every request, whoever's it is. Nothing is retried here: only who knows what
    a call does may send it again. Cookies are refused: they would tie the calls of one application to the session of
    another.
    """
    session = _Kept(root, {"verify": verify, "cert": certificate})
    session.headers.update(headers or {})
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connections, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
