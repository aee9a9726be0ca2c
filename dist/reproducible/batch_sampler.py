"""Which samples of each global batch a rank draws: whole virtual shards, the same ones whatever the number of ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any

import numpy as np

from allgrad.utils.data.sampler import KeyedBatch

from ..world import current
from .shards import cut, owned


class DistributedBatchSampler:
    """The indices of *dataset* that this rank draws for each step, as lists, for ``DataLoader(batch_sampler=...)``.

    *batch_size* is that of the step, over all ranks: so the number of steps and what is learned in each do not
    depend on how many ranks there are. A batch is cut into *virtual_shards* contiguous shards as equal as can be,
    and each rank draws whole shards that follow each other; with `DataParallel` of as many virtual shards, training
    then gives the same bits on any number of ranks. A last batch that is shorter is cut in the same way, and may
    leave a rank without a sample: its batch has length 0. The reproducible mode weights shards by their samples; without it
    the mean over ranks counts each rank the same, so there *drop_last* leaves out what would be weighted unevenly.

    Call `set_epoch` before each epoch, or every epoch has the same order. What is random in drawing a sample
    (transforms that use allgrad's, NumPy's or Python's global random numbers) follows from seed, epoch and index.

    Args:
        dataset: anything with a length of at least 1.
        batch_size: samples in a step, over all ranks.
        virtual_shards: into how many shards a batch is cut, at least one for each rank; default: one for each rank.
        shuffle: draw in an order that *seed* and the epoch determine (default), or in order.
        seed: an integer, the same on every rank (default 0).
        drop_last: leave out a last batch that is shorter (default False).
        num_replicas, rank: of how many and which one; those of the world (default).

    Raises ValueError for sizes that leave nothing to draw, and for more ranks than virtual shards.

    >>> from allgrad import dist
    >>> sampler = dist.DistributedBatchSampler(range(10), 8, virtual_shards=4, shuffle=False, num_replicas=3, rank=0)
    >>> list(sampler)
    [[0, 1, 2, 3], [8, 9]]
    """

    def __init__(
        self,
        dataset: Sized,
        batch_size: int,
        *,
        virtual_shards: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self._num_replicas, self._rank = num_replicas, rank
        self._virtual_shards = virtual_shards
        self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
        self.epoch = 0
        self._check()

    @property
    def virtual_shards(self) -> int:
        """Into how many shards a batch is cut: one for each rank, unless a number was given."""
        return self.num_replicas if self._virtual_shards is None else self._virtual_shards

    @property
    def num_replicas(self) -> int:
        """Among how many ranks each batch is dealt out: those of the world, unless another number was given."""
        return current().size if self._num_replicas is None else self._num_replicas

    @property
    def rank(self) -> int:
        """Whose part of each batch is drawn: that of this rank of the world, unless another was given."""
        return current().rank if self._rank is None else self._rank

    def _check(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"DistributedBatchSampler(batch_size={self.batch_size}): a step has at least 1 sample")
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(
                f"DistributedBatchSampler: rank {self.rank} of {self.num_replicas} replicas: "
                f"the ranks are 0 to {self.num_replicas - 1}"
            )
        require_a_shard_for_each(self.num_replicas, self.virtual_shards, "DistributedBatchSampler")
        if len(self) == 0:
            raise ValueError(
                f"DistributedBatchSampler: {len(self.dataset)} samples make no batch of {self.batch_size}"
                f"{' with drop_last=True' if self.drop_last else ''}: use smaller batches or more data"
            )

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[KeyedBatch]:
        # Not a generator itself, so that the order is that of the epoch in which the loop begins.
        return self._batches(self.epoch)

    def _batches(self, epoch: int) -> Iterator[KeyedBatch]:
        order = np.arange(len(self.dataset))
        if self.shuffle:
            key = np.array([self.seed, epoch]).astype(np.uint64)
            order = np.random.Generator(np.random.Philox(key=key)).permutation(order)
        first, end = owned(self.rank, self.num_replicas, self.virtual_shards)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            batch = order[start : start + self.batch_size]
            sizes = cut(len(batch), self.virtual_shards)
            yield KeyedBatch(batch[sum(sizes[:first]) : sum(sizes[:end])].tolist(), self.seed, epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of *epoch*, the same on every rank."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """Return what determines the order, on any number of ranks; how far it has come is the loader's to say."""
        return {"epoch": self.epoch, "seed": self.seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Iterate next in the order of *state*, which may have been taken on another number of ranks."""
        self.epoch, self.seed = state["epoch"], state["seed"]


def require_a_shard_for_each(ranks: int, shards: int, name: str) -> None:
    """Raise ValueError where *shards* virtual shards are too few for *ranks* ranks."""
    if shards < ranks:
        raise ValueError(
            f"{name}(virtual_shards={shards}): {ranks} ranks need at least {ranks} shards, one each: "
            "use more virtual shards (a multiple of every number of ranks you may use), or fewer ranks"
        )
