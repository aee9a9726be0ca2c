"""Where a client finds its server, and with what token: as it was told, else the environment, else the server's folder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidRequest, ServerUnreachable, Unauthenticated
from ..home import Home

if TYPE_CHECKING:
    from ..access.tls import ClientFiles

_ADDRESS = re.compile(r"(\[[^\[\]/\s]+\]|[^:/\[\]\s]+):0*[1-9][0-9]{0,4}")
"""HOST:PORT, or [IPV6]:PORT. Of anything else gRPC would say no more than that nothing answers there."""


@dataclass(frozen=True, slots=True)
class Route:
    """How to reach the server at this moment."""

    address: str
    token: str
    files: ClientFiles


class Destination:
    """What a client was told of its server."""

    def __init__(
        self,
        address: str | None,
        token: str | None,
        home: str | os.PathLike[str] | None,
        tls: tuple[str | None, str | None, str | None],
    ) -> None:
        self._address = address or os.environ.get("ALLGRAD_SERVER")
        self._token = token or os.environ.get("ALLGRAD_TOKEN")
        self.home = Home.find(home)
        self._tls = tls

    def route(self) -> Route:
        """Find the server. Raises InvalidRequest, ServerUnreachable, Unauthenticated."""
        from ..access.tls import ClientFiles  # gRPC takes 0.1 s to load: only when it is needed

        address = self._address or self.home.address()
        if self._address and not _ADDRESS.fullmatch(self._address):
            raise InvalidRequest(
                f"cannot use the server address {address!r}", "", "write HOST:PORT, as in trainer:7447"
            )
        if address is None:
            raise ServerUnreachable(
                "cannot reach the allgrad server",
                f"no server has written its address into {self.home.path}",
                "start one with: allgrad serve, or name one with --server",
            )
        token = self._token or self.home.token()
        if token is None:
            raise Unauthenticated(
                f"the server at {address} wants a token",
                f"there is none in $ALLGRAD_TOKEN or {self.home.token_file}",
                "set ALLGRAD_TOKEN to what the server's token file holds",
            )
        if not (token.isascii() and token.isprintable()):
            raise Unauthenticated(
                f"the token for the server at {address} cannot be sent",
                f"{'the one given' if self._token else self.home.token_file} has characters that no token has",
                "copy it again, from where it was shown or from the server's token file, to ALLGRAD_TOKEN",
            )
        return Route(address, token, ClientFiles.find(*self._tls) if self._address else ClientFiles())

    def moved(self, address: str) -> bool:
        """Return whether the server has come back at another address than *address*."""
        return (self._address or self.home.address()) not in (None, address)

    def __repr__(self) -> str:
        return f"Destination({self._address or self.home.path})"
