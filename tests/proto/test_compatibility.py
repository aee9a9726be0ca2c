"""What earlier clients and servers say is still understood: names and numbers in the API never change their meaning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from allgrad.proto import access_pb2, files_pb2, jobs_pb2, reporting_pb2, sweeps_pb2

RECORDED = sorted((Path(__file__).parents[1] / "data" / "proto").glob("*.binpb"))
"""Descriptor sets of earlier APIs, by day: protoc --descriptor_set_out."""


def now() -> list[FileDescriptorProto]:
    """The API as it is."""
    files = []
    for module in (access_pb2, files_pb2, jobs_pb2, reporting_pb2, sweeps_pb2):
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        files.append(file)
    return files


def breaks(old: list[FileDescriptorProto], new: list[FileDescriptorProto]) -> list[str]:
    """What in *new* would misunderstand, or be misunderstood by, those who know *old*."""
    there = set(facts(new))
    return sorted(fact for fact in facts(old) if fact not in there)


def facts(files: list[FileDescriptorProto]) -> Iterator[str]:
    """What a program on the other side of the wire relies on."""
    for file in files:
        for message in file.message_type:
            yield from message_facts(f"{file.package}.{message.name}", message)
        for enum in file.enum_type:
            yield from enum_facts(f"{file.package}.{enum.name}", enum)
        for service in file.service:
            for method in service.method:
                stream = f"{method.client_streaming} {method.server_streaming}"
                yield f"{file.package}.{service.name}.{method.name}({method.input_type}) {method.output_type} {stream}"


def message_facts(name: str, message: DescriptorProto) -> Iterator[str]:
    for field in message.field:
        kind = FieldDescriptorProto.Type.Name(field.type)
        label = FieldDescriptorProto.Label.Name(field.label)
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
        yield f"{name}.{field.name} = {field.number} {label} {kind} {field.type_name} {oneof}"
    for nested in message.nested_type:
        yield from message_facts(f"{name}.{nested.name}", nested)


def enum_facts(name: str, enum: EnumDescriptorProto) -> Iterator[str]:
    for value in enum.value:
        yield f"{name}.{value.name} = {value.number}"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_nothing_that_an_earlier_api_said_has_changed_its_meaning(path: Path) -> None:
    old = list(FileDescriptorSet.FromString(path.read_bytes()).file)
    assert breaks(old, now()) == []


def test_a_field_that_gets_another_number_is_noticed() -> None:
    changed = now()
    next(field for field in changed[0].message_type[0].field if field.number == 1).number = 99
    (broken,) = breaks(now(), changed)
    assert "= 1 " in broken


def test_every_file_of_the_api_is_looked_at() -> None:
    there = {path.name for path in (Path(__file__).parents[2] / "proto").glob("*.proto")}
    assert {Path(file.name).name for file in now()} == there


def test_there_is_an_earlier_api_to_compare_with() -> None:
    assert RECORDED
