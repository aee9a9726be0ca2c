"""The journal file: its exact form, and what becomes of torn and damaged ends."""

import json
import math
import os
import time
import zlib
from pathlib import Path

import pytest

from allgrad.dist.journal import Journal, JournalError, JournalTakenError, read

SAMPLES = Path(__file__).parents[1] / "data" / "journal"


def test_a_line_has_the_form_that_the_contract_gives(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    before = time.time()
    journal.metrics(10, {"loss": 0.25, "accuracy": 0.9})
    line = (tmp_path / "journal.jsonl").read_bytes()
    assert line.startswith(b'{"seq":1,"time":')
    assert b'"kind":"metrics","step":10,"values":{"loss":0.25,"accuracy":0.9},"crc":"' in line
    assert line.endswith(b'"}\n')
    assert line.count(b"\n") == 1
    body, _, crc = line.rpartition(b',"crc":')
    assert crc == b'"%08x"}\n' % zlib.crc32(body)
    assert before - 1 <= json.loads(line)["time"] <= time.time() + 1


def test_recorded_metrics_and_checkpoints_are_read() -> None:
    entries = read(SAMPLES / "good.jsonl")
    assert [entry["seq"] for entry in entries] == [1, 2, 3, 4]
    assert entries[0] == {
        "seq": 1,
        "time": 1763843000.123456,
        "kind": "metrics",
        "step": 10,
        "values": {"loss": 0.25, "accuracy": 0.9},
    }
    assert entries[1]["path"] == "/data/run/step-10"
    assert entries[3]["path"] == '/data/Läufe/"x","crc":"0"}'


def test_numbers_that_json_lacks_are_written_as_strings_and_read_as_numbers(tmp_path: Path) -> None:
    recorded = read(SAMPLES / "not-finite.jsonl")[0]["values"]
    assert math.isnan(recorded["loss"])
    assert (recorded["up"], recorded["down"]) == (math.inf, -math.inf)
    journal = Journal(tmp_path / "journal.jsonl")
    journal.metrics(0, {"loss": math.nan, "up": math.inf, "down": -math.inf})
    text = (tmp_path / "journal.jsonl").read_text()
    assert '"values":{"loss":"NaN","up":"Infinity","down":"-Infinity"}' in text


def test_a_journal_whose_beginning_was_given_back_to_the_disk_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for step in range(1, 5):
        journal.metrics(step, {"loss": 0.5})
    journal.close()
    content = path.read_bytes()
    path.write_bytes(bytes(120) + content[120:])
    journal = Journal(path)
    journal.metrics(5, {"loss": 0.25})
    journal.close()
    assert [entry["seq"] for entry in read(path)] == [3, 4, 5]


@pytest.mark.parametrize("name", ["torn.jsonl", "torn-crc.jsonl"])
def test_a_torn_tail_is_not_read_and_the_next_writer_cuts_it_off(name: str, tmp_path: Path) -> None:
    assert [entry["seq"] for entry in read(SAMPLES / name)] == [1, 2]
    path = tmp_path / "journal.jsonl"
    path.write_bytes((SAMPLES / name).read_bytes())
    Journal(path).metrics(30, {"loss": 0.5})
    entries = read(path)
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    assert entries[2]["values"] == {"loss": 0.5}


def test_every_possible_tear_leaves_the_lines_before_it(tmp_path: Path) -> None:
    whole = (SAMPLES / "good.jsonl").read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    path = tmp_path / "journal.jsonl"
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        assert len(read(path)) == sum(end <= cut for end in ends)


@pytest.mark.parametrize(("name", "line"), [("damaged.jsonl", 2), ("gap.jsonl", 2)])
def test_damage_before_the_last_line_is_reported(name: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    content = (SAMPLES / name).read_bytes()
    path.write_bytes(content + content.splitlines(keepends=True)[-1])
    with pytest.raises(JournalError, match=f"line {line} is damaged"):
        read(path)
    with pytest.raises(JournalError, match=f"line {line} is damaged"):
        Journal(path)
    assert path.read_bytes().startswith(content)


def test_a_reopened_journal_continues_the_count(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    first = Journal(path)
    first.metrics(1, {"loss": 1.0})
    first.close()
    Journal(path).checkpoint(1, "/somewhere")
    assert [entry["seq"] for entry in read(path)] == [1, 2]


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    first = Journal(path)
    with pytest.raises(JournalTakenError, match="another process"):
        Journal(path)
    first.close()
    Journal(path).close()


def test_only_the_owner_may_read_a_journal(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        Journal(tmp_path / "journal.jsonl").close()
    finally:
        os.umask(old)
    assert (tmp_path / "journal.jsonl").stat().st_mode & 0o777 == 0o600
