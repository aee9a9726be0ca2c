"""Clients of other makes hold the same conversation with a server, and are told the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ..conftest import ServerProcess
from .answer import Speaker, write_api
from .clients import SPEAKERS, BufCurl, Grpclib, Grpcurl, Lines
from .conversation import STEPS, converse

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / "build" / "interop"
"""Where `make interop-clients` puts what is not there anyway."""
DEBIAN = Path("/usr/bin/python3")


def need(there: bool, what: str) -> None:
    """Skip the test if *what* is not there; under `make interop`, which wants all of them, fail."""
    if not there:
        assert os.environ.get("ALLGRAD_INTEROP") != "all", f"{what} is missing"
        pytest.skip(f"{what} is missing; see: make interop-clients")


class Place:
    """A server to talk to."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        home = server.client()._destination.home
        self.address, self.token = home.address() or "", home.token() or ""
        self.api = write_api(folder)

    def lines(self, command: list[str], environment: dict[str, str] | None = None) -> Lines:
        return Lines(command, self.address, self.api, environment)


@pytest.fixture(scope="module")
def place(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(server, tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def told_to_grpcio(place: Place) -> dict[str, Any]:
    """What the library that the server is built on is told."""
    with closing(place.lines([sys.executable, str(SPEAKERS / "grpcio_lines.py")])) as speaker:
        return converse(speaker, place.token, "grpcio")


def test_the_conversation_says_what_happened(told_to_grpcio: dict[str, Any]) -> None:
    told = told_to_grpcio
    assert told["health"] == [{"status": "SERVING"}]
    assert "allgrad.v1.JobService" in told["services"]
    assert told["submit"] == {"ranks": 1, "labels": ["by"], "user": "admin"}
    assert told["idempotent"]
    assert told["upload"]
    states = [f"JOB_STATE_{state} " for state in ("QUEUED", "STARTING", "RUNNING")]
    losses = [f"{step}: {1 / step:.6f}" for step in range(1, STEPS + 1)]
    assert told["events"] == [*states, *losses, "JOB_STATE_SUCCEEDED 0"]
    assert told["logs"].decode().split("\n")[STEPS - 1] == f"rank 0 step {STEPS}"
    assert told["list"] == [1, 1]
    assert told["cancel"][0].startswith("JOB_STATE_CANCELLED")
    errors = told["errors"]
    assert {name: code for name, (code, *_) in errors.items()} == {
        "unknown": "NOT_FOUND",
        "impossible": "INVALID_ARGUMENT",
        "taken": "ALREADY_EXISTS",
        "over": "OUT_OF_RANGE",
        "stranger": "UNAUTHENTICATED",
    }
    assert errors["unknown"][1]["google.rpc.ErrorInfo"]["reason"] == "JOB_NOT_FOUND"
    assert errors["impossible"][1]["google.rpc.BadRequest"]["fieldViolations"][0]["field"] == "spec.ranks"


def test_grpclib_is_told_the_same(place: Place, told_to_grpcio: dict[str, Any]) -> None:
    assert converse(Grpclib(place.address), place.token, "grpclib") == told_to_grpcio


def grpcurl(place: Place) -> Grpcurl:
    program = TOOLS / "bin" / "grpcurl"
    need(program.exists(), "grpcurl")
    speaker = Grpcurl(program, place.address, place.api)
    assert "allgrad.v1.JobService" in speaker.services(place.token)
    return speaker


def buf_curl(place: Place) -> BufCurl:
    return BufCurl(Path(sys.executable).with_name("buf"), place.address, place.api)


def grpc_js(place: Place) -> Lines:
    modules, node = TOOLS / "node_modules", shutil.which("node")
    need((modules / "@grpc" / "grpc-js").exists() and node is not None, "grpc-js on Node")
    return place.lines([node or "", str(SPEAKERS / "grpc_js_lines.js")], {**os.environ, "NODE_PATH": str(modules)})


def debian(place: Place) -> Lines:
    """Debian's own Python with its python3-grpcio (1.51 in Debian 12)."""
    found = DEBIAN.exists() and subprocess.call([DEBIAN, "-c", "import grpc"], stderr=subprocess.DEVNULL) == 0
    need(found, "Debian's python3-grpcio")
    return place.lines([str(DEBIAN), str(SPEAKERS / "grpcio_lines.py")], {"PATH": os.environ["PATH"]})


@pytest.mark.parametrize("client", [grpcurl, buf_curl, grpc_js, debian], ids=lambda client: client.__name__)
def test_a_client_that_nobody_here_wrote_is_told_the_same(
    client: Callable[[Place], Speaker], place: Place, told_to_grpcio: dict[str, Any]
) -> None:
    speaker = client(place)
    try:
        assert converse(speaker, place.token, client.__name__) == told_to_grpcio
    finally:
        if isinstance(speaker, Lines):
            speaker.close()
