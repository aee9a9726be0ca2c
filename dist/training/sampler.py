"""Which samples of a dataset each rank draws: a sampler that deals one shared order out to all ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized
from typing import Any

import numpy as np

from ..world import current


class DistributedSampler:
    """The indices of *dataset* that this rank draws: every num_replicas-th of an order that all ranks share.

    As torch.utils.data.distributed.DistributedSampler: where the length does not divide by the number of ranks, the
    order is filled up from its beginning, so that every rank draws equally many, or with *drop_last* cut off. Call
    `set_epoch` before each epoch, or every epoch has the same order. The order for a seed is NumPy's Philox
    permutation, not PyTorch's.

    Args:
        dataset: anything with a length of at least 1.
        num_replicas, rank: of how many and which one; those of the world (default).
        shuffle: draw in an order that *seed* and the epoch determine (default), or in order.
        seed: an integer, the same on every rank (default 0).
        drop_last: leave out the remainder instead of repeating samples (default False).

    >>> from allgrad import dist
    >>> list(dist.DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False))
    [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        world = current()
        self.dataset = dataset
        self.num_replicas = world.size if num_replicas is None else num_replicas
        self.rank = world.rank if rank is None else rank
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(
                f"DistributedSampler: rank {self.rank} of {self.num_replicas} replicas: "
                f"the ranks are 0 to {self.num_replicas - 1}"
            )
        self.shuffle, self.seed, self.drop_last = shuffle, seed, drop_last
        self.epoch = 0
        if len(self) == 0:
            raise ValueError(
                f"DistributedSampler: {len(dataset)} samples leave nothing for each of {self.num_replicas} ranks"
                f"{' with drop_last=True' if drop_last else ''}: use fewer ranks or more data"
            )

    @property
    def num_samples(self) -> int:
        """How many indices each rank draws in an epoch."""
        share = len(self.dataset) / self.num_replicas
        return math.floor(share) if self.drop_last else math.ceil(share)

    @property
    def total_size(self) -> int:
        """How many indices all ranks draw together, repeated ones among them."""
        return self.num_samples * self.num_replicas

    def __len__(self) -> int:
        return self.num_samples

    def __iter__(self) -> Iterator[int]:
        order = np.arange(len(self.dataset))
        if self.shuffle:
            key = np.array([self.seed, self.epoch]).astype(np.uint64)
            order = np.random.Generator(np.random.Philox(key=key)).permutation(order)
        everything = np.resize(order, self.total_size)
        return iter(everything[self.rank :: self.num_replicas].tolist())

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of *epoch*, the same on every rank."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """Return what determines the order in progress; how far it has come is the loader's to say."""
        return {"epoch": self.epoch, "seed": self.seed, "num_replicas": self.num_replicas}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Iterate next in the order of *state*.

        Raises ValueError when it was taken with another number of ranks, among which samples are dealt otherwise.
        """
        if state["num_replicas"] != self.num_replicas:
            raise ValueError(
                f"DistributedSampler: this state was taken with {state['num_replicas']} ranks, but there are "
                f"{self.num_replicas}: start with as many, or begin the epoch anew with set_epoch({state['epoch']})"
            )
        self.epoch, self.seed = state["epoch"], state["seed"]
