"""What jobs report, as TensorBoard reads it."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from allgrad.server import Client, Job
from allgrad.server.supervisor.tensorboard import EventFile, crc32c, record, scalars_event

from ..conftest import ServerProcess

JOURNALS = Path(__file__).parents[2] / "data" / "journal"


def event_class() -> type[Message]:
    """TensorFlow's Event, as far as it matters here, by the field numbers of its event.proto and summary.proto."""
    file = FileDescriptorProto(name="event.proto", package="tensorflow", syntax="proto3")
    for name, fields in {
        "Value": [("tag", 1, Field.TYPE_STRING, ""), ("simple_value", 2, Field.TYPE_FLOAT, "")],
        "Summary": [("value", 1, Field.TYPE_MESSAGE, "Value")],
        "SessionLog": [("status", 1, Field.TYPE_INT32, "")],
        "Event": [
            ("wall_time", 1, Field.TYPE_DOUBLE, ""),
            ("step", 2, Field.TYPE_INT64, ""),
            ("file_version", 3, Field.TYPE_STRING, ""),
            ("summary", 5, Field.TYPE_MESSAGE, "Summary"),
            ("session_log", 7, Field.TYPE_MESSAGE, "SessionLog"),
        ],
    }.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            label = Field.LABEL_REPEATED if field == "value" else Field.LABEL_OPTIONAL
            made = message.field.add(name=field, number=number, type=kind, label=label)
            if of:
                made.type_name = f".tensorflow.{of}"
    pool = DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Event"))


EVENT = event_class()


def events_of(path: Path) -> Iterator[Any]:
    """Read a file of TFRecords, and hold every checksum to its data."""
    data = path.read_bytes()
    while data:
        length, length_crc = struct.unpack_from("<QI", data)
        body, (body_crc,) = data[12 : 12 + length], struct.unpack_from("<I", data, 12 + length)
        assert [length_crc, body_crc] == [masked(data[:8]), masked(body)]
        yield EVENT.FromString(body)
        data = data[16 + length :]


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15) | (crc << 17 & 0xFFFFFFFF)) + 0xA282EAD8 & 0xFFFFFFFF


def scalars(path: Path) -> list[tuple[int, dict[str, float]]]:
    found = [event for event in events_of(path) if event.HasField("summary")]
    return [(event.step, {value.tag: value.simple_value for value in event.summary.value}) for event in found]


@pytest.mark.parametrize(
    ("data", "crc"),
    [(b"", 0), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)],
)
def test_the_checksum_is_that_of_rfc_3720(data: bytes, crc: int) -> None:
    assert crc32c(data) == crc


@pytest.mark.parametrize("value", [0.0, -1.5, math.inf, -math.inf, 1e300, -1e300])
def test_any_number_comes_back_as_single_precision_has_it(value: float, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(record(scalars_event(1.0, 1 << 40, {"größe": value, "b": 1.0})))
    expected = math.copysign(math.inf, value) if abs(value) > 1e38 else value
    assert scalars(tmp_path / "file") == [(1 << 40, {"größe": expected, "b": 1.0})]


def event_file(job: Job, attempt: int = 1) -> Path:
    (found,) = Path(job.output_dir, "tensorboard").glob(f"events.out.tfevents.*.attempt-{attempt}")
    return found


def test_what_a_job_reports_stands_in_an_event_file_of_its_output(
    client: Client, job_script: Callable[[str], str], finished: Callable[[Client, Job], Job], tmp_path: Path
) -> None:
    job = finished(client, client.submit([job_script("reporting"), "300", "0", "7"], ranks=2))
    first, *_ = events_of(event_file(job))
    assert first.file_version == "brain.Event:2"
    found = scalars(event_file(job))
    assert [step for step, _ in found] == list(range(1, 301))
    assert [step for step, values in found if math.isnan(values["loss"])] == [7]
    assert found[3][1]["loss"] == pytest.approx(1 / 4)
    (listed,), _ = client.files.artifacts(job.id)
    assert client.files.download(job.id, listed.path, tmp_path / "down").read_bytes() == event_file(job).read_bytes()


def test_a_job_that_reports_nothing_has_no_event_file(client: Client, finished: Callable[[Client, Job], Job]) -> None:
    assert list(Path(finished(client, client.submit(["true"])).output_dir).iterdir()) == []


def test_a_server_can_be_told_to_write_none(
    server_with: Callable[..., ServerProcess], job_script: Callable[[str], str], finished: Callable[[Client, Job], Job]
) -> None:
    with server_with(tensorboard=False).client() as client:
        job = finished(client, client.submit([job_script("reporting"), "3", "0"]))
        assert list(Path(job.output_dir).iterdir()) == []


def journal(folder: Path) -> Path:
    target = folder / "journal.jsonl"
    target.write_bytes((JOURNALS / "good.jsonl").read_bytes())
    return target


def test_a_second_attempt_takes_back_what_the_first_told_of_later_steps(tmp_path: Path) -> None:
    for attempt in (1, 2):
        writer = EventFile(journal(tmp_path), tmp_path / "out", attempt)
        writer.update()
        writer.close()
    first, second = sorted((tmp_path / "out").iterdir())
    assert scalars(first) == scalars(second)
    starts = [event for event in events_of(second) if event.HasField("session_log")]
    assert [(event.step, event.session_log.status) for event in starts] == [(scalars(second)[0][0], 1)]
    assert not any(event.HasField("session_log") for event in events_of(first))


def test_a_folder_that_cannot_be_written_costs_only_the_event_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file is in the way")
    writer = EventFile(journal(tmp_path), tmp_path / "out", 1)
    writer.update()
    writer.close()
    assert "no more is written for TensorBoard" in capsys.readouterr().err


def test_a_step_that_has_no_place_in_an_event_costs_only_its_own_line(tmp_path: Path) -> None:
    bodies = [
        b'{"seq":%d,"time":1.5,"kind":"metrics","step":%d,"values":{"loss":1}' % line for line in ((1, -1), (2, 7))
    ]
    lines = [body + b',"crc":"%08x"}\n' % zlib.crc32(body) for body in bodies]
    (tmp_path / "journal.jsonl").write_bytes(b"".join(lines))
    writer = EventFile(tmp_path / "journal.jsonl", tmp_path / "out", 1)
    writer.update()
    writer.close()
    (file,) = (tmp_path / "out").iterdir()
    assert [step for step, *_ in scalars(file)] == [7]


def test_tensorboard_itself_reads_it(
    client: Client, job_script: Callable[[str], str], finished: Callable[[Client, Job], Job]
) -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    job = finished(client, client.submit([job_script("reporting"), "50", "0"]))
    accumulator = loader.EventAccumulator(str(event_file(job).parent))
    accumulator.Reload()
    assert [scalar.step for scalar in accumulator.Scalars("loss")] == list(range(1, 51))
