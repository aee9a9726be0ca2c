"""Shards that must know of each other in the middle of a step: they run in turn, and meet where they exchange values.

Every shard of a rank runs in a thread of its own, but only one at a time, in order, each until it comes to an exchange
or to its end; so threads bring no chance into a step. When all have come to the exchange, on all ranks, what they
brought is added along the tree, and they go on in the same order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..communication.agreement import agree
from ..observation.spans import waiting
from ..world import Group, World, current
from .rows import Array
from .shards import Span, fold


class _Here(threading.local):
    """The turn that the running thread is."""

    turn: _Turn | None = None


class _Abandoned(BaseException):
    """Ends a shard that waits for others, one of which has failed."""


_here = _Here()


def sum_over_all(values: Array, group: Group | None = None) -> Array:
    """Return the sum of *values* over all shards of the step that runs, or in the fast mode over the ranks of *group* (all).

    All of them must call this equally often, with one shape and dtype; the order of the additions is fixed. Raises
    ValueError for a group in a step of shards, which know of no ranks.
    """
    if _here.turn is not None:
        if group is not None:
            raise ValueError(
                f"a sum over the ranks {list(group.ranks)} in a step of virtual shards, which may be any rank's: "
                "leave process_group out"
            )
        return _here.turn.exchange(values)
    ranks = current() if group is None else group
    agree(ranks, f"a sum over ranks of {values.dtype} {values.shape}")
    if ranks.comm is None:
        return values.copy()
    every = np.empty((ranks.size, *values.shape), values.dtype)
    ranks.comm.Allgather(np.ascontiguousarray(values).view(np.uint8), every.reshape(-1).view(np.uint8))
    return _sum(dict(enumerate(every)), ranks.size)


def take_turns(world: World, shards: int, tasks: Mapping[int, Callable[[], None]], places: Mapping[int, Any]) -> None:
    """Run the *tasks* of this rank's shards, which may call `sum_over_all`; every rank calls this.

    *places* holds what each shard must be within while it runs: something with ``enter`` and ``leave``. Raises what a
    task raises, and RuntimeError on every rank where some shards exchange values and others have come to their end.
    """
    turns = {shard: _Turn(task, places[shard]) for shard, task in tasks.items()}
    try:
        while True:
            for turn in turns.values():
                turn.proceed()
            brought = {shard: turn.brought for shard, turn in turns.items()}
            with waiting("what the other ranks' shards bring"):
                everyones = [brought] if world.comm is None else world.comm.allgather(brought)
            values = {shard: value for found in everyones for shard, value in found.items()}
            ended = sorted(shard for shard, value in values.items() if value is None)
            if len(ended) == len(values):
                return
            if ended:
                raise RuntimeError(
                    f"shards {ended} came to their end, while the others wait for them in a synchronised layer: "
                    "every shard must call the same such layers"
                )
            total = _sum(values, shards)
            for turn in turns.values():
                turn.answer = total.copy()
    finally:
        for turn in turns.values():
            turn.abandon()


class _Turn:
    """One shard's thread: *brought* is what it has come to an exchange with, None once it is at its end."""

    def __init__(self, task: Callable[[], None], place: Any) -> None:
        self.brought: Array | None = None
        self.answer: Array | None = None
        self._task, self._place = task, place
        self._error: BaseException | None = None
        self._ended = self._abandoned = False
        self._may_run, self._has_paused = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def proceed(self) -> None:
        """Let the shard run to its next exchange, or to its end; raise what it raises."""
        self._may_run.release()
        self._has_paused.acquire()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """End the thread, if it has not come to its end."""
        if not self._ended:
            self._abandoned = True
            self._may_run.release()
        self._thread.join()

    def exchange(self, values: Array) -> Array:
        """Within the thread: wait until all shards have come here, and return the sum of what they brought."""
        self.brought = values
        self._place.leave()
        self._pause()
        self._place.enter()
        self.brought = None
        assert self.answer is not None
        return self.answer

    def _run(self) -> None:
        self._may_run.acquire()
        try:
            if not self._abandoned:
                _here.turn = self
                self._task()
        except _Abandoned:
            pass
        except BaseException as error:  # noqa: BLE001 -- it is raised again in the main thread
            self._error = error
        finally:
            self.brought = None
            self._ended = True
            self._has_paused.release()

    def _pause(self) -> None:
        self._has_paused.release()
        self._may_run.acquire()
        if self._abandoned:
            self._place.enter()
            raise _Abandoned


def _sum(values: Mapping[int, Any], leaves: int) -> Array:
    nothing = np.full_like(next(iter(values.values())), -0.0)

    def leaf(node: Span) -> Array | None:
        return values.get(node[0], nothing) if node[1] - node[0] == 1 else None

    total: Array = fold((0, leaves), leaf, lambda a, b: a + b)
    return total
