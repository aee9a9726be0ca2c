"""Where the main thread's script stands, seen from another thread while it runs on."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from allgrad.dist.watchdog import progress

DEPTH = 300


@contextmanager
def a_thread_that_waits_deep_down() -> Iterator[int]:
    there, go_on = threading.Event(), threading.Event()

    def descend(depth: int) -> None:
        if depth:
            return descend(depth - 1)
        there.set()
        go_on.wait()
        return None

    thread = threading.Thread(target=descend, args=(DEPTH,))
    thread.start()
    there.wait()
    assert thread.ident is not None
    yield thread.ident
    go_on.set()
    thread.join()


def test_all_frames_of_a_thread_are_there_innermost_first() -> None:
    with a_thread_that_waits_deep_down() as thread:
        names = [frame.f_code.co_name for frame in progress._frames_of(thread)]
    assert names.count("descend") == DEPTH + 1
    assert names.index("wait") < names.index("descend") < names.index("_bootstrap")


def test_a_thread_that_has_ended_has_no_frames() -> None:
    with a_thread_that_waits_deep_down() as thread:
        pass
    assert progress._frames_of(thread) == []


@pytest.mark.parametrize("enabled", [True, False])
def test_no_garbage_is_collected_while_frames_are_walked_for_finalizers_let_the_thread_run_on(enabled: bool) -> None:
    collections: list[str] = []
    before, thresholds = gc.isenabled(), gc.get_threshold()

    def note(phase: str, info: object) -> None:
        collections.append(phase)

    try:
        with a_thread_that_waits_deep_down() as thread:
            (gc.enable if enabled else gc.disable)()
            gc.callbacks.append(note)
            gc.set_threshold(DEPTH // 3)  # walking makes an object of each frame, and nothing else is made so often
            progress._frames_of(thread)
            gc.set_threshold(*thresholds)
            gc.callbacks.remove(note)
        assert collections.count("start") <= 1
        assert gc.isenabled() is enabled
    finally:
        gc.set_threshold(*thresholds)
        (gc.enable if before else gc.disable)()
