"""Calls of a cluster's API server: JSON over HTTPS, a connection for each, and what its refusals mean."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from ..batch import Unavailable
from .access import Access

TIMEOUT = 20.0


class Refused(Exception):
    """The API server has answered with an error: *status*, and *message* in its words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Api:
    """One cluster, as *access* reaches it."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._address = urlsplit(access.server)
        self._context = access.context() if self._address.scheme == "https" else None

    def __repr__(self) -> str:
        return f"Api({self._access.server})"

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return what the API server answers. Raises Refused, or Unavailable if it does not answer or cannot now."""
        return _parsed(self._answered(method, path, body, query))

    def text(self, path: str, query: Mapping[str, str]) -> str:
        """Return a plain answer, such as a log. Raises as ask() does."""
        return self._answered("GET", path, None, query).decode(errors="replace")

    def _answered(
        self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, str] | None
    ) -> bytes:
        target = self._address.path.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        try:
            status, text = self._exchange(method, target, data)
        except ssl.SSLCertVerificationError as error:
            raise Refused(0, f"its certificate is not trusted: {error.verify_message}") from None
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{self._access.server}: {error or type(error).__name__}") from None
        answer = _parsed(text) if status >= http.client.BAD_REQUEST else {}
        if status == http.client.TOO_MANY_REQUESTS or status >= http.client.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"{self._access.server}: {status} {answer.get('message', '')}")
        if status >= http.client.BAD_REQUEST:
            raise Refused(status, answer.get("message") or text.decode(errors="replace")[:200] or f"status {status}")
        return text

    def _exchange(self, method: str, target: str, data: bytes | None) -> tuple[int, bytes]:
        headers = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "allgrad"}
        if token := self._access.bearer():
            headers["Authorization"] = f"Bearer {token}"
        host, port = self._address.hostname or "", self._address.port
        if self._context is None:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        else:
            connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=self._context)
        try:
            connection.request(method, target, data, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
