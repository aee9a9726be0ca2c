"""What any client says of a call, brought into one form, so that clients can be compared."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from google.protobuf import json_format, symbol_database
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from allgrad.proto import access_pb2, files_pb2, jobs_pb2, reporting_pb2, sweeps_pb2

Fields = Mapping[str, Any]
PROTO = Path(__file__).parents[3] / "proto"


@dataclass(frozen=True)
class Answer:
    """Messages as proto3 JSON, the name of the status, and its details by type."""

    messages: Sequence[Fields]
    code: str = "OK"
    details: Mapping[str, Fields] = field(default_factory=dict)


class Speaker(Protocol):
    """A client of some make."""

    def call(self, method: str, *requests: Fields, token: str) -> Answer:
        """Call `package.Service/Method`; an empty *token* sends none."""


def details_of(status: bytes) -> dict[str, Fields]:
    """Return the details in a serialised google.rpc.Status."""
    return {
        detail.TypeName(): _decoded(detail.TypeName(), detail.value) for detail in Status.FromString(status).details
    }


def details_of_pairs(pairs: Sequence[Mapping[str, str]]) -> dict[str, Fields]:
    """Return details told as {"type": name, "value": base64}, unpadded."""
    return {each["type"]: _decoded(each["type"], base64.b64decode(each["value"] + "==")) for each in pairs}


def details_of_json(details: Sequence[Mapping[str, Any]]) -> dict[str, Fields]:
    """Return details told as JSON with "@type", in names of either style."""
    found: dict[str, Fields] = {}
    for each in details:
        name = each["@type"].rpartition("/")[2]
        plain = {key: value for key, value in each.items() if key != "@type"}
        message = json_format.ParseDict(plain, symbol_database.Default().GetSymbol(name)())
        found[name] = json_format.MessageToDict(message)
    return found


def _decoded(name: str, value: bytes) -> Fields:
    found: Fields = json_format.MessageToDict(symbol_database.Default().GetSymbol(name).FromString(value))
    return found


def documents(text: str) -> list[Fields]:
    """Return the JSON documents that follow each other in *text*."""
    found, decoder = [], json.JSONDecoder()
    while text := text.strip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found


def camel(value: Any) -> Any:
    """Return JSON with names in the style of proto3 JSON; some tools keep those of the .proto files here and there."""
    if isinstance(value, list):
        return [camel(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {re.sub("_([a-z])", lambda found: found[1].upper(), name): camel(each) for name, each in value.items()}


def status_name(said: str) -> str:
    """Return `NotFound` and `not_found` as NOT_FOUND."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", said).upper()


def write_api(folder: Path) -> Path:
    """Write all that there is to call, with what it depends on, as a descriptor set; beside it, our own .proto files."""
    shutil.copytree(
        PROTO, folder / "allgrad" / "proto", ignore=shutil.ignore_patterns("*.py*", "py.typed", "__pycache__")
    )
    path = folder / "api.binpb"
    modules = (
        access_pb2,
        files_pb2,
        jobs_pb2,
        reporting_pb2,
        sweeps_pb2,
        health_pb2,
        reflection_pb2,
        error_details_pb2,
    )
    seen: dict[str, FileDescriptorProto] = {}
    for module in modules:
        for file in _with_dependencies(module.DESCRIPTOR):
            if file.name not in seen:
                seen[file.name] = FileDescriptorProto()
                file.CopyToProto(seen[file.name])
    path.write_bytes(FileDescriptorSet(file=seen.values()).SerializeToString())
    return path


def _with_dependencies(file: FileDescriptor) -> Iterator[FileDescriptor]:
    for each in file.dependencies:
        yield from _with_dependencies(each)
    yield file
