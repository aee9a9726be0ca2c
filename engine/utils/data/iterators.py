"""The loops of a DataLoader: batches made in this process when asked for, or by workers ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from .dataset import IterableDataset
from .fetch import make_fetch
from .pool import WorkerPool
from .worker import Exhausted, Failure, Job

_END = object()


@dataclass
class Position:
    """Where a loop is: how many batches it has yielded, and what its order and workers' seeds follow from."""

    batches: int = 0
    base_seed: int | None = None
    order: Any = None

    def state(self) -> dict[str, Any]:
        """Return the position as plain values."""
        return asdict(self)

    def end(self) -> None:
        """Forget the loop: the next one begins at the beginning."""
        self.batches, self.base_seed, self.order = 0, None, None


def in_this_process(job: Job, indices: Iterator[Any], position: Position) -> Iterator[Any]:
    """Yield the batches that follow ``position``, which is kept up to date."""
    fetch = make_fetch(job.dataset, job.collate, batched=job.batched, drop_last=job.drop_last)
    indices, unwanted = _skip(job, indices, position)
    for index in indices:
        try:
            batch = fetch(index)
        except StopIteration:
            break
        if unwanted:
            unwanted -= 1
            continue
        position.batches += 1
        yield batch
    position.end()


def from_workers(
    pool: WorkerPool, indices: Iterator[Any], position: Position, prefetch: int, *, in_order: bool, keep: bool
) -> Iterator[Any]:
    """Yield the batches that follow ``position``, made by workers, each ``prefetch`` batches ahead.

    The pool is closed at the end, also of a loop that is left early, unless ``keep``.
    """
    assert position.base_seed is not None
    try:
        pool.begin(position.base_seed)
        indices, unwanted = _skip(pool.job, indices, position)
        for batch in _replies(pool, indices, prefetch, in_order=in_order):
            if unwanted:
                unwanted -= 1
                continue
            position.batches += 1
            yield batch
        position.end()
    finally:
        if not keep:
            pool.close()


def _skip(job: Job, indices: Iterator[Any], position: Position) -> tuple[Iterator[Any], int]:
    """Skip the indices of the batches already yielded; for a stream, which has none, count those batches."""
    if isinstance(job.dataset, IterableDataset):
        return indices, position.batches
    return islice(indices, position.batches, None), 0


def _replies(pool: WorkerPool, indices: Iterator[Any], prefetch: int, *, in_order: bool) -> Iterator[Any]:
    turns = deque(range(pool.size))  # the workers that still have samples; the first is asked next
    asked: deque[int] = deque()  # whose answer each outstanding batch is, oldest first

    def ask() -> None:
        while len(asked) < prefetch * len(turns) and (index := next(indices, _END)) is not _END:
            pool.ask(turns[0], index)
            asked.append(turns[0])
            turns.rotate(-1)

    ask()
    while asked:
        worker, reply = pool.answer([asked[0]] if in_order else set(asked))
        asked.remove(worker)
        if isinstance(reply, Exhausted):
            if worker in turns:
                turns.remove(worker)
            ask()
            continue
        if not in_order and worker in turns:
            turns.remove(worker)
            turns.appendleft(worker)
        ask()
        if isinstance(reply, Failure):
            reply.reraise()
        yield reply
