"""Clients that nobody here wrote: two programs for the command line, two libraries in processes of their own, one in this."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, json_format, symbol_database
from grpclib.client import Channel, StreamStreamMethod, StreamUnaryMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.encoding.proto import ProtoStatusDetailsCodec
from grpclib.exceptions import GRPCError

from .answer import Answer, Fields, camel, details_of, details_of_json, details_of_pairs, documents, status_name

SPEAKERS = Path(__file__).parent / "speakers"


class Lines:
    """A process that takes calls as JSON lines."""

    def __init__(self, command: list[str], address: str, api: Path, environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [*command, address, str(api)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def call(self, method: str, *requests: Fields, token: str) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(
            json.dumps({"method": method, "requests": requests, "token": token}), file=self._process.stdin, flush=True
        )
        said = json.loads(self._process.stdout.readline())
        return Answer(said["messages"], said["code"], details_of(base64.b64decode(said["status"])))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Grpcurl:
    """grpcurl, which asks the server itself what there is to call; where it may not, it is told."""

    def __init__(self, program: Path, address: str, api: Path) -> None:
        self._program, self._address, self._api = program, address, api

    def call(self, method: str, *requests: Fields, token: str) -> Answer:
        schema = ["-H", f"authorization: Bearer {token}"] if token else ["-protoset", str(self._api)]
        asked = "\n".join(map(json.dumps, requests))
        command = [str(self._program), "-plaintext", "-format-error", *schema, "-d", "@", self._address, method]
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=60, check=False)
        told = [camel(each) for each in documents(done.stdout)]
        if done.returncode == 0:
            return Answer(told)
        (error,) = documents(done.stderr)
        return Answer(told, _CODES[error["code"]], details_of_json(error.get("details", ())))

    def services(self, token: str) -> list[str]:
        """What it lists by itself."""
        command = [str(self._program), "-plaintext", "-H", f"authorization: Bearer {token}", self._address, "list"]
        return sorted(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


class BufCurl:
    """buf curl, which asks the server itself what there is to call; where it may not, it is told."""

    def __init__(self, program: Path, address: str, api: Path) -> None:
        self._program, self._address, self._api = program, address, api

    def call(self, method: str, *requests: Fields, token: str) -> Answer:
        known = ["--header", f"authorization: Bearer {token}", "--reflect-header", "*"]
        schema = known if token else ["--schema", str(self._api)]
        command = [str(self._program), "curl", "--protocol", "grpc", "--http2-prior-knowledge", *schema, "--data", "@-"]
        asked = "\n".join(map(json.dumps, requests))
        url = f"http://{self._address}/{method}"
        done = subprocess.run([*command, url], input=asked, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0:
            return Answer(documents(done.stdout))
        (error,) = documents(done.stderr)
        return Answer(documents(done.stdout), status_name(error["code"]), details_of_pairs(error.get("details", ())))


class Grpclib:
    """grpclib: asyncio and h2, and nothing of gRPC's own code."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.rpartition(":")

    def call(self, method: str, *requests: Fields, token: str) -> Answer:
        return asyncio.run(self._call(method, requests, token))

    async def _call(self, method: str, requests: tuple[Fields, ...], token: str) -> Answer:
        service, _, name = method.partition("/")
        found = _method(service, name)
        sends, receives = found.client_streaming, found.server_streaming
        ask, tell = (
            symbol_database.Default().GetSymbol(each.full_name) for each in (found.input_type, found.output_type)
        )
        messages = [json_format.ParseDict(dict(request), ask()) for request in requests]
        metadata = {"authorization": f"Bearer {token}"} if token else {}
        codec = ProtoStatusDetailsCodec()
        async with Channel(self._host, int(self._port), status_details_codec=codec) as channel:
            kind: Any = _KINDS[sends, receives]
            start = kind(channel, f"/{method}", ask, tell)
            try:
                told = await start(messages if sends else messages[0], metadata=metadata, timeout=60)
            except GRPCError as error:
                details = {each.DESCRIPTOR.full_name: json_format.MessageToDict(each) for each in error.details or ()}
                return Answer([], error.status.name, details)
        return Answer([json_format.MessageToDict(each) for each in (told if receives else [told])])


_KINDS = {
    (False, False): UnaryUnaryMethod,
    (False, True): UnaryStreamMethod,
    (True, False): StreamUnaryMethod,
    (True, True): StreamStreamMethod,
}
_CODES = {
    3: "INVALID_ARGUMENT",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    11: "OUT_OF_RANGE",
    16: "UNAUTHENTICATED",
}


def _method(service: str, name: str) -> Any:
    return descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
