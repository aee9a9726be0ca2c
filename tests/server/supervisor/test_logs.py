"""Reading logs that grow, and that have lost their middle."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from allgrad.server.jobs.job import LogChunk
from allgrad.server.supervisor.logs import CHUNK, HEAD, Trimmer, read_log, tail_offset

LINE = 100


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "rank-0.log"


def numbered(start: int, stop: int) -> bytes:
    return b"".join(b"%099d\n" % number for number in range(start, stop))


def read_all(log: Path) -> list[LogChunk]:
    chunks: list[LogChunk] = []
    while chunk := read_log(log, 0, chunks[-1].offset + len(chunks[-1].data) if chunks else 0, final=True):
        chunks.append(chunk)
    return chunks


def test_a_log_that_is_not_there_yet_has_nothing(log: Path) -> None:
    assert read_log(log, 0, 0, final=True) is None


def test_an_unfinished_line_waits_for_its_end(log: Path) -> None:
    log.write_bytes(b"one\ntw")
    assert read_log(log, 3, 0, final=False) == LogChunk(3, 0, b"one\n")
    assert read_log(log, 3, 4, final=False) is None
    assert read_log(log, 3, 4, final=True) == LogChunk(3, 4, b"tw")
    assert read_log(log, 3, 6, final=True) is None


def test_a_progress_bar_that_only_returns_to_the_line_start_is_shown(log: Path) -> None:
    log.write_bytes(b"10 %\r20 %\r30")
    chunk = read_log(log, 0, 0, final=False)
    assert chunk is not None
    assert chunk.data == b"10 %\r20 %\r"


def test_a_line_longer_than_a_chunk_comes_in_pieces(log: Path) -> None:
    log.write_bytes(b"x" * (2 * CHUNK + 5))
    assert [len(chunk.data) for chunk in read_all(log)] == [CHUNK, CHUNK, 5]


def test_a_log_comes_whole_and_in_whole_lines(log: Path) -> None:
    log.write_bytes(numbered(0, 5000))
    chunks = read_all(log)
    assert b"".join(chunk.data for chunk in chunks) == numbered(0, 5000)
    assert all(chunk.data.endswith(b"\n") for chunk in chunks)


def test_trimming_frees_the_middle_and_moves_nothing(log: Path) -> None:
    total = 60_000
    log.write_bytes(numbered(0, total))
    trimmer = Trimmer(log, 1 << 20)
    trimmer.trim()
    assert log.stat().st_size == LINE * total
    assert log.stat().st_blocks * 512 < HEAD + (1 << 20) + 3 * 4096
    found = b"".join(chunk.data for chunk in read_all(log))
    assert found.startswith(numbered(0, HEAD // LINE))
    assert found.endswith(numbered(total - 10_000, total))
    chunks = read_all(log)
    (gap,) = [after for before, after in itertools.pairwise(chunks) if after.offset != before.offset + len(before.data)]
    assert gap.offset % LINE == 0


def test_a_log_within_its_limit_is_left_alone(log: Path) -> None:
    log.write_bytes(numbered(0, 1000))
    Trimmer(log, 1 << 20).trim()
    assert b"".join(chunk.data for chunk in read_all(log)) == numbered(0, 1000)


def test_a_growing_log_is_trimmed_again_and_again(log: Path) -> None:
    trimmer = Trimmer(log, 1 << 20)
    for part in range(8):
        with log.open("ab") as file:
            file.write(numbered(part * 20_000, (part + 1) * 20_000))
        trimmer.trim()
        assert log.stat().st_blocks * 512 < HEAD + (4 << 20)
    assert read_all(log)[-1].data.endswith(numbered(159_999, 160_000))


@pytest.mark.parametrize("end", ["", "unfinished"])
@pytest.mark.parametrize("lines", [1, 2, 7, 999, 1500, 3000, 5000])
def test_a_tail_begins_where_that_many_lines_are_left(log: Path, lines: int, end: str) -> None:
    text = numbered(0, 3000) + end.encode()
    log.write_bytes(text)
    assert text[tail_offset(log, lines) :] == b"".join(text.splitlines(keepends=True)[-lines:])


def test_a_tail_does_not_reach_over_what_was_dropped(log: Path) -> None:
    log.write_bytes(numbered(0, 100_000))
    Trimmer(log, 1 << 20).trim()
    chunk = read_log(log, 0, tail_offset(log, 90_000), final=True)
    assert chunk is not None
    assert chunk.data.startswith(numbered(chunk.offset // LINE, chunk.offset // LINE + 2))
    assert chunk.offset > HEAD


def test_a_log_that_is_not_there_or_empty_has_no_tail(log: Path) -> None:
    assert tail_offset(log, 5) == 0
    log.write_bytes(b"")
    assert tail_offset(log, 5) == 0
