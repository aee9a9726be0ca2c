"""Loops that go on when ranks die: a step that some were lost in is dealt anew over the others, and computed again."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Protocol

from ..reproducible.batch_sampler import DistributedBatchSampler
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
        shrink()
        self.shrunk, self.undone = True, not agreed
        return True


def elastic_steps(loader: _Loader) -> Iterator[ElasticStep]:
    """Iterate over the batches of *loader*, one step each, and go on with those that are left when ranks die.

    *loader* is a ``DataLoader(batch_sampler=DistributedBatchSampler(...))``, and the step that of a `DataParallel`.
    Within ``with step as batch:`` belongs what is done for a batch: ``zero_grad``, **one** ``backward`` through
    the `DataParallel`, then all that changes something: ``optimizer.step``, counters, `Checkpointer.save`.
    ``backward`` returns once all ranks have agreed that the step counts. If one dies before, the others leave the block,
    deal the same batch out among them, and enter it again; nothing has changed by then. So no sample is lost or repeated, and
    with *virtual_shards* the weights come to be those of an undisturbed run, bit for bit. If one is found dead later in the
    block, its rest is skipped, and the next batch follows.

    It needs Open MPI, started with ``mpirun --with-ft ulfm`` or ``allgrad run --elastic``. Otherwise the loop is a plain one,
    and the death of a rank ends the run, which `Checkpointer` and ``allgrad run --restarts`` let go on.

    Raises TypeError for another loader, and what MPI raises for a rank that died outside of a block.

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
    return _steps(loader)


def _steps(loader: _Loader) -> Iterator[ElasticStep]:
    batches = iter(loader)
    while True:
        position = loader.state_dict()
        try:
            batch = next(batches)
        except StopIteration:
            return
        step = ElasticStep(batch)
        yield step
        if step.shrunk:
            position = position if step.undone else loader.state_dict()
            if isinstance(batches, Generator):
                batches.close()
            # The sampler deals to the world as it is when a loop begins.
            loader.load_state_dict(position)
            batches = iter(loader)
