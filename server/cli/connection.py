"""The options that say which server is meant, and the client made of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .job_ids import with_whole_ids
from .words import FilePath, Word

if TYPE_CHECKING:
    from ..client.client import Client


PEM = FilePath(exists=True, dir_okay=False)


@dataclass(frozen=True)
class Connection:
    """Which server, as the command line says it; None leaves it to the environment and the home folder."""

    server: str | None
    token: str | None
    home: Path | None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None

    def open(self) -> Client:
        """Make the client. gRPC is loaded here, not when somebody only asks for help."""
        from ..client.client import Client

        quiet_grpc()
        return Client(
            self.server,
            token=self.token,
            home=self.home,
            tls_ca=self.tls_ca,
            tls_cert=self.tls_cert,
            tls_key=self.tls_key,
        )


def quiet_grpc() -> None:
    """Keep gRPC's C++ from logging what we say in a sentence of our own; to be called before it is loaded."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def home_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--home",
        type=FilePath(path_type=Path, file_okay=False),
        envvar="ALLGRAD_HOME",
        help="Folder of the server, with its address and token.  [default: $ALLGRAD_HOME or ~/.allgrad]",
    )(command)


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* --server, --token and --home, and hand them to it as ``connection``; ids of jobs become whole."""

    @home_option
    @click.option(
        "--token",
        type=Word(),
        envvar="ALLGRAD_TOKEN",
        help="Token of the server; better kept in $ALLGRAD_TOKEN, since others can see this command line.",
    )
    @click.option(
        "--server",
        type=Word(),
        metavar="ADDRESS",
        envvar="ALLGRAD_SERVER",
        help="HOST:PORT of the server.  [default: $ALLGRAD_SERVER, else the one in the home folder]",
    )
    @click.option(
        "--tls-ca", type=PEM, envvar="ALLGRAD_TLS_CA", metavar="FILE", help="Who signed the server's certificate."
    )
    @click.option(
        "--tls-cert", type=PEM, envvar="ALLGRAD_TLS_CERT", metavar="FILE", help="Your certificate, if it wants one."
    )
    @click.option("--tls-key", type=PEM, envvar="ALLGRAD_TLS_KEY", metavar="FILE", help="The key of your certificate.")
    @wraps(command)
    def connected(
        *args: Any,
        server: str | None,
        token: str | None,
        home: Path | None,
        tls_ca: str | None,
        tls_cert: str | None,
        tls_key: str | None,
        **options: Any,
    ) -> Any:
        connection = Connection(server, token, home, tls_ca, tls_cert, tls_key)
        return command(*args, connection=connection, **with_whole_ids(connection, options))

    return connected


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
