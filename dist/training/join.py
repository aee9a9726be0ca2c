"""Uneven inputs: a rank that has run out of batches takes part in what the others do, with zeros, until all have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from allgrad import nn

from ..communication.agreement import agree
from ..communication.objects import broadcast_object
from ..world import Group
from .sync_batch_norm import SyncBatchNorm


class Next(IntEnum):
    """What a rank is about to do, as it tells the others."""

    NOTHING = 0
    """It has no more batches."""
    FORWARD = 1
    BUFFERS = 2
    GRADIENTS = 3


class Joining:
    """One pass over uneven inputs, as all ranks of *world* see it.

    Before whatever they do together ranks tell each other what that is: so those without batches know what to take
    part in, and with *refuse_early* all know when to give up.
    """

    def __init__(self, world: Group, *, divide_by_initial_world_size: bool, refuse_early: bool) -> None:
        self._world = world
        self._by_initial, self.refuse_early = divide_by_initial_world_size, refuse_early
        self._source: int | None = None

    def forward(self) -> None:
        """Before a forward pass with *refuse_early*: RuntimeError on every rank if any has no more batches."""
        self._tell(Next.FORWARD)

    def buffers(self) -> int:
        """Before buffers are shared; return the rank whose they are: the first that still has batches."""
        return self._with_batches(self._tell(Next.BUFFERS))[0]

    def gradients(self) -> float:
        """Before gradients are reduced; return by what to multiply their mean over all ranks."""
        return self._factor(self._tell(Next.GRADIENTS))

    def take_part(self, in_buffers: Callable[[int], None], in_gradients: Callable[[float], None]) -> int | None:
        """Take part in what ranks with batches do until there are none; return the rank that went on longest.

        None if all ran out at the same time.
        """
        while True:
            told = self._tell(Next.NOTHING)
            going_on = self._with_batches(told)
            if not going_on:
                return self._source
            if told[going_on[0]] is Next.BUFFERS:
                in_buffers(going_on[0])
            elif told[going_on[0]] is Next.GRADIENTS:
                in_gradients(self._factor(told))

    def _tell(self, what: Next) -> list[Next]:
        assert self._world.comm is not None
        agree(self._world, "the next step within DataParallel.join, in which ranks without batches take part")
        everyones = np.empty(self._world.size, np.int8)
        self._world.comm.Allgather(np.array([what], np.int8), everyones)
        told = [Next(int(number)) for number in everyones]
        going_on = self._with_batches(told)
        if len({told[rank] for rank in going_on}) > 1:
            plans = ", ".join(f"rank {self._world.ranks[rank]}: {told[rank].name.lower()}" for rank in going_on)
            raise RuntimeError(
                "DataParallel.join: ranks with batches are about to do different things "
                f"({plans}): let every rank make the same "
                "forward and backward passes for each of its batches"
            )
        if going_on and len(going_on) < len(told):
            self._source = going_on[0]
            if self.refuse_early:
                without = self._shown([rank for rank, said in enumerate(told) if said is Next.NOTHING])
                raise RuntimeError(
                    f"DataParallel.join(throw_on_early_termination=True): ranks {without} have no more batches, and ranks "
                    f"{self._shown(going_on)} have: catch this on every rank to end the pass, or deal out equally many"
                )
        return told

    def _with_batches(self, told: Sequence[Next]) -> list[int]:
        return [rank for rank, said in enumerate(told) if said is not Next.NOTHING]

    def _shown(self, numbers: Sequence[int]) -> str:
        return ", ".join(str(self._world.ranks[number]) for number in numbers)

    def _factor(self, told: Sequence[Next]) -> float:
        return 1.0 if self._by_initial else self._world.size / len(self._with_batches(told))


def follow(targets: Sequence[Any], source: int, world: Group) -> None:
    """Let the *targets* (optimizers, schedulers) of every rank of *world* have the state of those of its rank *source*."""
    for target in targets:
        target.load_state_dict(broadcast_object(target.state_dict(), world.ranks[source], world))


def require_that_nothing_else_communicates(module: nn.Module, *, divided: bool) -> None:
    """Raise RuntimeError if *module* has a `SyncBatchNorm`, or its gradients are *divided* among the ranks."""
    norms = [name for name, part in module.named_modules() if isinstance(part, SyncBatchNorm)]
    if norms or divided:
        found = f"{norms[0]} is a SyncBatchNorm" if norms else "shard_gradients=True needs every rank in every step"
        raise RuntimeError(
            f"DataParallel.join: {found}, in which a rank without batches cannot take part: give "
            "throw_on_early_termination=True, or deal out equally many batches"
        )
