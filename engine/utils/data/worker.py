"""A loading worker: the process that makes batches, and what it is told about itself."""

from __future__ import annotations

import pickle
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np

from ...random import manual_seed
from .channel import Channel
from .fetch import Fetch, make_fetch


@dataclass
class WorkerInfo:
    """What a worker is told: its number, how many there are, its seed, and its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


@dataclass(frozen=True)
class Job:
    """What every worker of a loader gets when it starts."""

    dataset: Any
    collate: Callable[[Any], Any]
    batched: bool
    drop_last: bool
    init: Callable[[int], Any] | None
    num_workers: int


@dataclass(frozen=True)
class Epoch:
    """The message that begins an epoch; the first one a worker gets also seeds its generators."""

    base_seed: int
    first: bool


@dataclass(frozen=True)
class Task:
    """The message that asks for one batch."""

    indices: Any


class Stop:
    """The message that ends a worker."""


class Exhausted:
    """The reply of a worker whose copy of an IterableDataset has ended."""


class _Text(str):
    """A text that a KeyError, which prints the repr of its argument, prints as it is."""

    __slots__ = ()
    __repr__ = str.__str__


@dataclass(frozen=True)
class Failure:
    """The reply of a worker whose dataset, collate function or start raised an exception."""

    kind: type[BaseException]
    text: str

    @classmethod
    def of(cls, error: BaseException, worker: int) -> Failure:
        """Describe an exception that was caught in a worker, with its traceback."""
        kind = type(error)
        trace = "".join(traceback.format_exception(kind, error, error.__traceback__))
        text = f"Caught {kind.__name__} in DataLoader worker process {worker}.\nOriginal {trace}"
        return cls(kind if _importable(kind) else RuntimeError, text)

    def reraise(self) -> None:
        """Raise an exception of the same class, or a RuntimeError where that class wants more than a text."""
        try:
            error = self.kind(_Text(self.text))
        except Exception:  # noqa: BLE001 -- whatever a foreign constructor raises, the text must get through
            raise RuntimeError(self.text) from None
        raise error


def _importable(kind: type[BaseException]) -> bool:
    return getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Return this worker's ``id``, ``num_workers``, ``seed`` and ``dataset``, or None in the main process."""
    return _info


def run(channel: Channel, job: Job, worker: int, inherited: list[Channel]) -> None:
    """Serve a loader's messages until it says Stop or dies.

    ``inherited`` are the loader's ends, which came along when this process was forked: only if the loader
    alone holds them does its death close the channel. Receiving and sending have threads of their own, so
    that the next batch is made while one is on its way.
    """
    for end in inherited:
        end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the loader, which then says Stop
    tasks: SimpleQueue[Any] = SimpleQueue()
    replies: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_receive, args=(channel, tasks), daemon=True).start()
    sender = threading.Thread(target=_send, args=(channel, replies, worker))
    sender.start()
    fetch: Fetch | None = None
    while (task := tasks.get()) is not _END:
        if isinstance(task, Epoch):
            fetch = _begin_or_fail(job, worker, task)
        else:
            assert fetch is not None
            replies.put(_attempt(fetch, task, worker))
    replies.put(_END)
    sender.join()


_END = object()


def _begin_or_fail(job: Job, worker: int, epoch: Epoch) -> Fetch:
    """Begin an epoch; if that fails, every batch of it is the failure."""
    try:
        return _begin(job, worker, epoch)
    except Exception as error:  # noqa: BLE001 -- it is raised again in the main process
        failure = Failure.of(error, worker)
        return lambda _: failure


def _begin(job: Job, worker: int, epoch: Epoch) -> Fetch:
    global _info
    if epoch.first:
        seed = epoch.base_seed + worker
        random.seed(seed)
        manual_seed(seed)
        np.random.seed(np.random.SeedSequence(epoch.base_seed, spawn_key=(worker,)).generate_state(4))
        _info = WorkerInfo(worker, job.num_workers, seed, job.dataset)
        if job.init is not None:
            job.init(worker)
    return make_fetch(job.dataset, job.collate, batched=job.batched, drop_last=job.drop_last)


def _attempt(fetch: Fetch, task: Task, worker: int) -> Any:
    try:
        return fetch(task.indices)
    except StopIteration:
        return Exhausted()
    except Exception as error:  # noqa: BLE001 -- it is raised again in the main process
        return Failure.of(error, worker)


def _receive(channel: Channel, tasks: SimpleQueue[Any]) -> None:
    with suppress(EOFError, OSError):  # the loader died: an end like any other
        while not isinstance(message := channel.receive(), Stop):
            tasks.put(message)
    tasks.put(_END)


def _send(channel: Channel, replies: SimpleQueue[Any], worker: int) -> None:
    """Send replies until the end; one that cannot be pickled is replaced by that failure."""
    with suppress(OSError):  # the loader has gone; the receiving thread sees it too and ends the worker
        while (reply := replies.get()) is not _END:
            try:
                channel.send(reply)
            except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
                channel.send(Failure.of(error, worker))
