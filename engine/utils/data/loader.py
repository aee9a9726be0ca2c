"""The DataLoader: batches of a dataset in a sampler's order, made here or by worker processes."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

from ...operations.random_tensors import randint
from ...random import Generator
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset
from .iterators import Position, from_workers, in_this_process
from .pool import WorkerPool
from .sampler import BatchSampler, RandomSampler, SequentialSampler
from .worker import Job

Sample = TypeVar("Sample")
_NOTHING_TO_PIN_FOR = (
    "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be used."
)
_FIXED = {"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"}


class _Endless:
    """The sampler of a stream, whose samples have no indices."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[Sample]):
    """Iterates over a dataset in batches, once per ``for`` loop.

    ``state_dict()`` within a loop is the position in it; a loader that has been given it by
    ``load_state_dict`` begins its next loop with the batch that would have come next, in the same random
    order, then goes on as usual.

    Args:
        dataset: a Dataset, anything with ``__getitem__`` and ``__len__``, or an IterableDataset.
        batch_size: samples in a batch (default 1); None gives single samples.
        shuffle: draw a new random order for every loop (default False).
        sampler: an iterable of indices instead of ``shuffle``.
        batch_sampler: an iterable of lists of indices instead of the four options of batches and order.
        num_workers: processes that make batches ahead of time; 0 (the default) makes them when asked.
        collate_fn: makes a batch of a list of samples; ``default_collate`` if not given.
        pin_memory: accepted as PyTorch does; there is no accelerator to pin memory for.
        drop_last: leave out a last batch that is shorter (default False).
        timeout: seconds to wait for a batch from a worker; 0 waits for ever.
        worker_init_fn: called in every worker with its number after seeding.
        multiprocessing_context: how workers start: a context or "fork", "spawn", "forkserver".
        generator: the source of the random order and of the workers' seeds; the default generator if not
            given.
        prefetch_factor: batches every worker makes in advance (default 2).
        persistent_workers: keep the workers from one loop to the next.
        pin_memory_device: accepted as PyTorch does.
        in_order: False yields the batches as workers finish them.

    Raises:
        ValueError: options that contradict each other or are out of range.
        RuntimeError: (in a loop) a worker died or took longer than ``timeout``.

    Example:
        >>> import allgrad as torch
        >>> from allgrad.utils.data import DataLoader, TensorDataset
        >>> dataset = TensorDataset(torch.arange(5), torch.arange(5) * 10)
        >>> for x, y in DataLoader(dataset, batch_size=3):
        ...     print(x, y)
        tensor([0, 1, 2]) tensor([ 0, 10, 20])
        tensor([3, 4]) tensor([30, 40])
    """

    _pool: WorkerPool | None = None
    _complete = False

    def __init__(
        self,
        dataset: Dataset[Sample],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        _check_batches(dataset, batch_size, bool(shuffle), sampler, batch_sampler, drop_last)
        if pin_memory:
            warnings.warn(_NOTHING_TO_PIN_FOR, stacklevel=2)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = _context(multiprocessing_context, num_workers)
        self.in_order = in_order
        self.generator = generator
        self.persistent_workers = persistent_workers
        self.drop_last = drop_last
        self.batch_size = None if batch_sampler is not None else batch_size
        if sampler is None:
            sampler = _default_sampler(dataset, bool(shuffle), generator)
        if batch_sampler is None and batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self._position = Position()
        self._restored: dict[str, Any] | None = None
        self._complete = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._complete and name in _FIXED:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized: make another"
            )
        super().__setattr__(name, value)

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            samples = len(self.dataset)  # type: ignore[arg-type]
            if self.batch_size is None:
                return samples
            return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)
        return len(self._order)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        position, indices = self._begin()
        self._position = position
        job = Job(
            self.dataset,
            self.collate_fn,
            batched=self.batch_sampler is not None,
            drop_last=self.drop_last,
            init=self.worker_init_fn,
            num_workers=self.num_workers,
        )
        if not self.num_workers:
            return in_this_process(job, indices, position)
        pool = self._pool
        if pool is None or pool.closed:
            pool = WorkerPool(job, self.multiprocessing_context, self.timeout)
            self._pool = pool if self.persistent_workers else None
        assert self.prefetch_factor is not None
        return from_workers(
            pool,
            indices,
            position,
            self.prefetch_factor,
            in_order=self.in_order,
            keep=self.persistent_workers,
        )

    @property
    def _order(self) -> Iterable[Any]:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _begin(self) -> tuple[Position, Iterator[Any]]:
        """Begin a loop: return the position, at the beginning or as restored, and the order's indices."""
        restored, self._restored = self._restored, None
        if restored is None:
            base_seed = int(randint(0, 2**63 - 1, (), generator=self.generator).item())
            indices = iter(self._order)
            return Position(base_seed=base_seed, order=self._order_state()), indices
        if restored["order"] is not None:
            self._keeper_of_order().load_state_dict(restored["order"])
        indices = iter(self._order)
        return Position(restored["batches"], restored["base_seed"], self._order_state()), indices

    def _keeper_of_order(self) -> Any:
        """The sampler that knows the order: the one of batches, if it has a state, or else the one of samples."""
        return self.batch_sampler if hasattr(self.batch_sampler, "state_dict") else self.sampler

    def _order_state(self) -> Any:
        state_of = getattr(self._keeper_of_order(), "state_dict", None)
        return state_of() if callable(state_of) else None

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the loop in progress: what ``allgrad.save`` can store with a model's state.

        Between loops it says that the next one begins at the beginning. The state of ``generator`` is part of
        it; that of the default generator is ``allgrad.get_rng_state()``, and numbers a dataset draws are its
        own.
        """
        if self._restored is not None:
            return dict(self._restored)
        generator = None if self.generator is None else self.generator.get_state()
        return self._position.state() | {"generator": generator}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next loop begin where the loader was when ``state`` was taken.

        Batches that were already yielded are not made again, except those of an IterableDataset.
        """
        if state["generator"] is not None and self.generator is not None:
            self.generator.set_state(state["generator"])
        self._restored = dict(state) if state["base_seed"] is not None else None


def _check_workers(num_workers: int, timeout: float, prefetch_factor: int | None, persistent: bool) -> None:
    if num_workers < 0:
        raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing. "
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 1:
        raise ValueError(f"prefetch_factor option should be positive, but got {prefetch_factor}")
    if persistent and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if num_workers > cores:
        warnings.warn(
            f"This DataLoader will create {num_workers} worker processes in total. Our suggested max "
            f"number of worker in current system is {cores}, which is smaller than what this DataLoader "
            "is going to create: more workers than cores make loading slower.",
            stacklevel=3,
        )


def _check_batches(
    dataset: Any,
    batch_size: int | None,
    shuffle: bool,
    sampler: object,
    batch_sampler: object,
    drop_last: bool,
) -> None:
    if isinstance(dataset, IterableDataset):
        for name, value in {
            "shuffle": shuffle or None,
            "sampler": sampler,
            "batch_sampler": batch_sampler,
        }.items():
            if value is not None:
                raise ValueError(
                    f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
                )
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
    if batch_sampler is None and batch_size is None and drop_last:
        raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")


def _default_sampler(dataset: Any, shuffle: bool, generator: Generator | None) -> Iterable[Any]:
    if isinstance(dataset, IterableDataset):
        return _Endless()
    return RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)


def _context(chosen: str | BaseContext | None, num_workers: int) -> BaseContext | None:
    if chosen is None:
        return None
    if not num_workers:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
            f"but got num_workers={num_workers}"
        )
    methods = multiprocessing.get_all_start_methods()
    if isinstance(chosen, str):
        if chosen not in methods:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {methods!r}, "
                f"but got multiprocessing_context={chosen!r}"
            )
        return multiprocessing.get_context(chosen)
    if not isinstance(chosen, BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string specifying the "
            f"start method, but got multiprocessing_context={chosen}"
        )
    return chosen
