"""Random messages for every call of the server: of the right form with absurd values, and of no form at all."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from allgrad.proto import jobs_pb2, reporting_pb2, sweeps_pb2

TEXTS = ("", "x", "\0", "../../etc/passwd", "é\u202e\U0001f600", "%s{0}'\";--", "a" * 70_000, "=", "\n", "true ")
NUMBERS = (0, 1, -1, 2, 63, 1 << 20, (1 << 31) - 1, -(1 << 31), (1 << 63) - 1, -(1 << 63))
FLOATS = (0.0, -1.0, 1e308, float("nan"), float("inf"), -float("inf"), 5e-324)


@dataclass(frozen=True)
class Call:
    """One call that a server offers."""

    path: str
    request: Descriptor
    streams: bool


def calls() -> list[Call]:
    """Return every call of every service of ours."""
    return [
        Call(f"/{service.full_name}/{method.name}", method.input_type, method.server_streaming)
        for file in (jobs_pb2, reporting_pb2, sweeps_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


def requests(dice: random.Random, known: list[str]) -> Iterator[tuple[Call, bytes]]:
    """Yield calls with serialised requests, for ever; *known* are ids that exist."""
    offered = calls()
    while True:
        call = dice.choice(offered)
        whole = message(call.request, dice, known).SerializeToString()
        match dice.randrange(4):
            case 0:
                yield call, dice.randbytes(dice.randrange(200))
            case 1:
                yield call, mutated(whole, dice)
            case _:
                yield call, whole


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Return *data* with some bytes changed, or cut off."""
    changed = bytearray(data)
    for _ in range(min(len(changed), dice.randrange(1, 5))):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed[: dice.randrange(len(changed) + 1)]) if dice.random() < 0.3 else bytes(changed)


def message(kind: Descriptor, dice: random.Random, known: list[str], depth: int = 0) -> Message:
    """Return a message with absurd values in some of its fields."""
    made: Any = GetMessageClass(kind)()
    for field in kind.fields:
        if dice.random() < 0.4 or depth > 4:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(getattr(made, field.name), field.message_type, dice, known, depth)
        elif field.is_repeated:
            values = [value(field, dice, known, depth) for _ in range(dice.randrange(4))]
            getattr(made, field.name).extend(values)
        elif field.message_type is not None:
            getattr(made, field.name).CopyFrom(message(field.message_type, dice, known, depth + 1))
        else:
            setattr(made, field.name, value(field, dice, known, depth))
    return made  # type: ignore[no-any-return]


def _fill_map(target: Any, entry: Descriptor, dice: random.Random, known: list[str], depth: int) -> None:
    key, content = entry.fields_by_name["key"], entry.fields_by_name["value"]
    for _ in range(dice.randrange(3)):
        if content.message_type is not None:
            target[value(key, dice, known, depth)].CopyFrom(message(content.message_type, dice, known, depth + 1))
        else:
            target[value(key, dice, known, depth)] = value(content, dice, known, depth)


def value(field: FieldDescriptor, dice: random.Random, known: list[str], depth: int) -> Any:
    """Return an absurd value for *field*."""
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            text = dice.choice((*TEXTS, *known))
            return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
        case FieldDescriptor.CPPTYPE_MESSAGE:
            assert field.message_type is not None
            return message(field.message_type, dice, known, depth + 1)
        case FieldDescriptor.CPPTYPE_BOOL:
            return dice.random() < 0.5
        case FieldDescriptor.CPPTYPE_ENUM:
            return _any_enum(field, dice)
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            number = dice.choice(FLOATS)
            return number if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE else _narrow(number)
        case FieldDescriptor.CPPTYPE_INT32:
            return dice.choice([number for number in NUMBERS if -(1 << 31) <= number < 1 << 31])
        case FieldDescriptor.CPPTYPE_UINT32:
            return dice.choice([number for number in NUMBERS if 0 <= number < 1 << 31])
        case FieldDescriptor.CPPTYPE_UINT64:
            return dice.choice([number for number in NUMBERS if number >= 0])
        case _:
            return dice.choice(NUMBERS)


def _any_enum(field: FieldDescriptor, dice: random.Random) -> int:
    assert field.enum_type is not None
    return dice.choice([*(each.number for each in field.enum_type.values), 77])


def _narrow(number: float) -> float:
    return float(struct.unpack("f", struct.pack("f", min(number, 3e38)))[0])
