"""The last lines of what ranks print."""

from __future__ import annotations

import time

from allgrad.server.display.tail import LINE_LIMIT, Tail


def test_a_line_that_never_ends_is_cut_and_takes_neither_memory_nor_time() -> None:
    tail = Tail(2, prefixed=False)
    started = time.process_time()
    for _ in range(3000):
        tail.feed(0, b"y" * 65536)
    assert time.process_time() - started < 5
    tail.feed(0, b"\nlast")
    assert tail.lines() == ["y" * LINE_LIMIT + " ...", "last"]


def test_a_line_that_comes_in_pieces_is_whole_if_it_is_short_enough() -> None:
    tail = Tail(2, prefixed=False)
    for _ in range(LINE_LIMIT):
        tail.feed(0, "\N{GRINNING FACE}".encode())
    assert tail.lines() == ["\N{GRINNING FACE}" * LINE_LIMIT]
