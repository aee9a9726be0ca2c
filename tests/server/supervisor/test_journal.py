"""Reading what rank 0 wrote, also when it is torn or damaged."""

import json
import math
import zlib
from pathlib import Path

import pytest

from allgrad.server.supervisor.journal import (
    CheckpointLine,
    JournalReader,
    MetricsLine,
    OtherLine,
    last_sequence,
    parse,
)

RECORDED = Path(__file__).parents[2] / "data" / "journal"


def line(sequence: int, rest: str = '"kind":"metrics","step":1,"values":{"loss":0.5}') -> bytes:
    body = f'{{"seq":{sequence},"time":1.5,{rest}'.encode()
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def sequences(reader: JournalReader) -> list[int]:
    return [found.sequence for found in reader.read()]


def test_a_metrics_line_gives_its_values() -> None:
    values = '"kind":"metrics","step":7,"values":{"loss":0.25,"worst":"NaN","best":"-Infinity"}'
    found = parse(line(3, values).rstrip())
    assert isinstance(found, MetricsLine)
    assert (found.sequence, found.time, found.step, found.values["loss"]) == (3, 1.5, 7, 0.25)
    assert math.isnan(found.values["worst"])
    assert found.values["best"] == -math.inf


def test_a_checkpoint_line_gives_its_path() -> None:
    found = parse(line(4, '"kind":"checkpoint","step":7,"path":"/out/step-7"').rstrip())
    assert found == CheckpointLine(4, 1.5, 7, "/out/step-7")


@pytest.mark.parametrize(
    "rest",
    [
        '"kind":"metrics","step":1,"values":[1]',
        '"kind":"metrics","values":{}',
        '"kind":"checkpoint","step":"x"',
        '"kind":"metrics","step":9223372036854775808,"values":{"loss":1}',
        '"kind":"metrics","step":-1,"values":{"loss":1}',
        '"kind":"metrics","step":1,"values":{"\\ud800":1}',
        '"kind":"metrics","step":1,"values":{"loss":1},"time":NaN',
        '"kind":"checkpoint","step":1,"path":"/out/\\udcff"',
        '"kind":"metrics","step":1,"values":' + 100_000 * "[" + 100_000 * "]",
        '"x":1',
    ],
    ids=lambda rest: rest[:40],
)
def test_a_line_that_is_sealed_and_has_no_form_counts_as_damaged(rest: str, journal: Path) -> None:
    journal.write_bytes(line(1) + line(2, rest) + line(3))
    assert sequences(JournalReader(journal)) == [1, 3]


def test_a_journal_that_does_not_exist_yet_is_empty(journal: Path) -> None:
    assert JournalReader(journal).read() == []
    assert last_sequence(journal) == 0


def test_a_beginning_that_was_given_back_is_passed_over_without_being_read(journal: Path) -> None:
    with journal.open("wb") as file:
        file.truncate(1 << 40)  # more than could be read
        file.seek(1 << 40)
        file.write(b'"half of a line"}\n' + line(5000) + line(5001))
    assert sequences(JournalReader(journal)) == [5000, 5001]
    assert last_sequence(journal) == 5001


def test_lines_come_once_as_the_journal_grows(journal: Path) -> None:
    reader = JournalReader(journal)
    journal.write_bytes(line(1) + line(2))
    assert sequences(reader) == [1, 2]
    assert sequences(reader) == []
    with journal.open("ab") as file:
        file.write(line(3))
    assert sequences(reader) == [3]


@pytest.mark.parametrize("cut", range(1, len(line(2))))
def test_a_torn_last_line_is_left_until_it_is_whole(journal: Path, cut: int) -> None:
    reader = JournalReader(journal)
    journal.write_bytes(line(1) + line(2)[:cut])
    assert sequences(reader) == [1]
    journal.write_bytes(line(1) + line(2))
    assert sequences(reader) == [2]


def test_a_damaged_last_line_is_left_until_the_writer_has_replaced_it(journal: Path) -> None:
    reader = JournalReader(journal)
    journal.write_bytes(line(1) + line(2).replace(b"0.5", b"0.6"))
    assert sequences(reader) == [1]
    journal.write_bytes(line(1) + line(2))
    assert sequences(reader) == [2]


def test_a_damaged_line_in_the_middle_leaves_a_gap_that_can_be_seen(journal: Path) -> None:
    journal.write_bytes(line(1) + line(2).replace(b"0.5", b"0.6") + line(3))
    assert sequences(JournalReader(journal)) == [1, 3]


def test_a_line_longer_than_a_read_is_read_whole(journal: Path) -> None:
    values = ",".join(f'"m{number}":0.5' for number in range(1000))
    journal.write_bytes(line(1, f'"kind":"metrics","step":1,"values":{{{values}}}') + line(2))
    reader = JournalReader(journal)
    found = reader.read(size=100) + reader.read(size=100)
    assert [line.sequence for line in found] == [1, 2]


def test_the_last_sequence_is_that_of_the_last_sound_line(journal: Path) -> None:
    journal.write_bytes(b"".join(line(number) for number in range(1, 50)) + line(50)[:20])
    assert last_sequence(journal) == 49


def test_a_line_of_a_kind_not_known_is_sound_and_passed_over(journal: Path) -> None:
    journal.write_bytes(line(1) + line(2, '"kind":"picture","step":1,"png":"x"') + line(3))
    found = JournalReader(journal).read()
    assert [each.sequence for each in found] == [1, 2, 3]
    assert found[1] == OtherLine(2, 1.5)


@pytest.mark.parametrize(
    ("name", "sound"),
    [
        ("good", [1, 2, 3, 4]),
        ("not-finite", [1]),
        ("torn", [1, 2]),
        ("torn-crc", [1, 2]),
        ("damaged", [1, 3]),
        ("gap", [1, 3]),
    ],
)
def test_the_recorded_journals_are_read_as_their_page_says(name: str, sound: list[int]) -> None:
    path = RECORDED / f"{name}.jsonl"
    found = JournalReader(path).read()
    assert [each.sequence for each in found] == sound
    written = [json.loads(text) for text in path.read_text().splitlines()[: len(sound)]]
    for each, record in zip(found, written, strict=True):
        if isinstance(each, CheckpointLine) and name != "damaged":
            assert each.path == record["path"]
    assert last_sequence(path) == sound[-1]
