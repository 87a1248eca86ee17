"""Somebody who visits pages over HTTP without a browser: follows redirections, keeps cookies, logs in."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.request
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urljoin

_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_ASSET = re.compile(r'(?:src|href)="([^"]+\.(?:css|js))"')
_SECONDS = 30


class Visits:
    """One visitor of the pages below ``root``; with ``user`` they send HTTP Basic with every request."""

    def __init__(self, root: str, *, user: str = "", password: str = "") -> None:
        self._root = root
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        if user:
            login = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._opener.addheaders.append(("Authorization", f"Basic {login}"))

    def status(self, page: str) -> int:
        """The status of a page after redirections."""
        try:
            with self._open(page) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def text(self, page: str) -> str:
        """The text of a page; raises HTTPError when it is refused."""
        with self._open(page) as answer:
            return answer.read().decode()

    def address_of(self, page: str) -> str:
        """Where a page leads to."""
        with self._open(page) as answer:
            return answer.url

    def log_in(self, user: str, password: str) -> None:
        """Fill in the form of the login; raises AssertionError when it is not taken."""
        found = _TOKEN.search(self.text("login/"))
        assert found, "the login has a form with a token"
        form = {"csrfmiddlewaretoken": found[1], "username": user, "password": password}
        # Over https Django asks where the form was.
        with self._open("login/", urlencode(form).encode(), Referer=urljoin(self._root, "login/")) as answer:
            assert "/login/" not in answer.url, "the login was taken"

    def assets(self, html: str) -> list[str]:
        """The styles and scripts that a page asks for."""
        return _ASSET.findall(html)

    def _open(self, page: str, data: bytes | None = None, **headers: str) -> HTTPResponse:
        request = urllib.request.Request(urljoin(self._root, page), data=data, headers=headers)
        answer: HTTPResponse = self._opener.open(request, timeout=_SECONDS)
        return answer
