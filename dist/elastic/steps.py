"""Loops that go on when ranks die: a step that some were lost in is dealt anew over the others, and computed again."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Protocol

from ..reproducible.batch_sampler import DistributedBatchSampler
from ..world import current, is_to_join
from .replacements import Replacements, require_replaceable
from .survival import is_loss, shrink, votes


class _Loader(Protocol):
    """What is asked of a loader: `allgrad.utils.data.DataLoader` has it."""

    batch_sampler: Any

    def __iter__(self) -> Iterator[Any]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class ElasticStep:
    """The body of a loop for one batch, which ``with step as batch:`` gives; see `elastic_steps`."""

    def __init__(self, batch: Any) -> None:
        self.shrunk = self.undone = False
        self.lost = 0
        self._batch = batch

    def __enter__(self) -> Any:
        self._agreed, self._begun = votes.agreed, votes.begun
        return self._batch

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or not is_loss(error):
            return False
        begun, agreed = votes.begun - self._begun, votes.agreed - self._agreed
        if not begun:
            error.add_note("it is not survived, as no step of a DataParallel had begun")
            return False
        if begun > agreed > 0:
            error.add_note("it is not survived, as an earlier backward within the same elastic step has been agreed on")
            return False
        self.lost = current().size - shrink().size
        self.shrunk, self.undone = True, not agreed
        return True


def elastic_steps(loader: _Loader, epochs: int | None = None, **parts: Any) -> Iterator[ElasticStep]:
    """Iterate over the batches of *loader*, one step each, and go on with those that are left when ranks die.

    *loader* is a ``DataLoader(batch_sampler=DistributedBatchSampler(...))``, and the step that of a `DataParallel`.
    Within ``with step as batch:`` belongs what is done for a batch: ``zero_grad``, **one** ``backward`` through
    the `DataParallel`, then all that changes something: ``optimizer.step``, counters, `Checkpointer.save`.
    ``backward`` returns once all ranks have agreed that the step counts. If one dies before, the others leave the block,
    deal the same batch out among them, and enter it again; nothing has changed by then. So no sample is lost or repeated, and
    with *virtual_shards* the weights come to be those of an undisturbed run, bit for bit. If one is found dead later in the
    block, its rest is skipped, and the next batch follows.

    With *epochs* the loop goes over so many epochs, counted by the sampler, and with *parts* (the `DataParallel`, optimizer,
    scheduler and what else has ``state_dict`` and ``load_state_dict``, by names) ranks that die are **replaced**: a process
    is started that runs the script again, up to this loop, takes the states of the parts over, and joins between two steps.

    It needs Open MPI, started with ``mpirun --with-ft ulfm`` or ``allgrad run --elastic``. Otherwise the loop is a plain one,
    and the death of a rank ends the run, which `Checkpointer` and ``allgrad run --restarts`` let go on.

    Raises TypeError for another loader, and for a part whose state no rank has alone or that has none (`ShardedOptimizer`,
    divided parameters and gradients, compression, a communication hook): a replacement could not take it over. ValueError for
    *parts* without *epochs*, and what MPI raises for a rank that died outside of a block.

    >>> import allgrad as torch
    >>> from allgrad import dist
    >>> from allgrad.utils.data import DataLoader, TensorDataset
    >>> data = TensorDataset(torch.arange(4.0)[:, None])
    >>> sampler = dist.DistributedBatchSampler(data, batch_size=2, virtual_shards=2, shuffle=False)
    >>> parallel = dist.DataParallel(torch.nn.Linear(1, 1), virtual_shards=2)
    >>> for step in dist.elastic_steps(DataLoader(data, batch_sampler=sampler)):
    ...     with step as (x,):
    ...         print(x.flatten().tolist(), parallel.backward(lambda x: parallel(x).mean(), x).ndim)
    [0.0, 1.0] 0
    [2.0, 3.0] 0
    """
    sampler = loader.batch_sampler
    if not isinstance(sampler, DistributedBatchSampler):
        raise TypeError(
            f"elastic_steps: the loader's batch_sampler is a {type(sampler).__name__}, which cannot deal a batch anew: "
            "use DataLoader(dataset, batch_sampler=dist.DistributedBatchSampler(...))"
        )
    if parts and epochs is None:
        raise ValueError(
            f"elastic_steps({', '.join(parts)}): a rank that joins must know how far the others are: give epochs=, and leave out "
            "the loop over epochs and sampler.set_epoch around this one"
        )
    require_replaceable(parts)
    replacements = Replacements(loader, parts) if parts else None
    return _steps(loader, replacements) if epochs is None else _epochs(loader, epochs, replacements)


def _epochs(loader: _Loader, epochs: int, replacements: Replacements | None) -> Iterator[ElasticStep]:
    if replacements is not None and is_to_join():
        replacements.join()
    for epoch in range(loader.batch_sampler.epoch, epochs):
        loader.batch_sampler.set_epoch(epoch)
        yield from _steps(loader, replacements)
    if replacements is not None:
        replacements.dismiss()


def _steps(loader: _Loader, replacements: Replacements | None) -> Iterator[ElasticStep]:
    batches = iter(loader)
    while True:
        position = loader.state_dict()
        if replacements is not None and replacements.attend():
            batches = _dealt_anew(loader, batches, position)
        try:
            batch = next(batches)
        except StopIteration:
            return
        step = ElasticStep(batch)
        yield step
        if step.shrunk:
            if replacements is not None:
                replacements.want(step.lost)
            batches = _dealt_anew(loader, batches, position if step.undone else loader.state_dict())


def _dealt_anew(loader: _Loader, batches: Iterator[Any], position: dict[str, Any]) -> Iterator[Any]:
    """Return the batches from *position* on, dealt to the world as it is: the sampler looks when a loop begins."""
    if isinstance(batches, Generator):
        batches.close()
    loader.load_state_dict(position)
    return iter(loader)
