"""The parameters of a model divided among the ranks (ZeRO-3): in which rows they lie, and when these are gathered."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import allgrad
from allgrad import Tensor, nn
from allgrad.autograd.graph import Handle, add_between_operations, queue_callback
from allgrad.tape.nodes import callbacks

from ..communication.hosts import RANKS_PER_WINDOW
from ..training.buckets import Slot, deal
from ..world import World
from .divided import DividedRow, memory_of
from .host_rows import HostRow, Hosts
from .shares import fix

MakeRow = Callable[[Sequence[Tensor], World], DividedRow | HostRow]

# While one module computes with a row, the one before it may still be needed by what comes next.
_KEPT = 2


def row_maker(world: World, *, copy_per_host: bool) -> MakeRow:
    """Return what lays parameters into rows: into memory of the host where one is all there is, or with *copy_per_host*."""
    assert world.comm is not None
    hosts = Hosts(world.comm)
    together = hosts.count == 1 or (copy_per_host and hosts.count < world.size)

    def make(parameters: Sequence[Tensor], world: World) -> DividedRow | HostRow:
        nonlocal together
        if together:
            try:
                return HostRow(parameters, world, hosts)
            except OSError as error:
                together = False
                if world.rank == 0:
                    warnings.warn(
                        f"the ranks of a host cannot share memory ({error}): each gathers the parameters for itself "
                        f"instead; {RANKS_PER_WINDOW}=1 asks for that and ends this warning",
                        stacklevel=2,
                    )
        return DividedRow(parameters, world)

    return make


class DividedParameters:
    """Keeps the parameters of *module* in *rows*, and in others, made by *make_row*, those that are not trained.

    A row is gathered when a parameter in it is used, within `forward` or a backward pass. At the end of each module's
    forward pass, and after each operation of a backward pass, all but the latest two rows are released.
    """

    def __init__(
        self, module: nn.Module, rows: Sequence[DividedRow | HostRow], make_row: MakeRow, world: World, row_bytes: int
    ) -> None:
        self._module = module
        frozen = [parameter for parameter in module.parameters() if not parameter.requires_grad]
        slots = [Slot("", tuple(parameter.shape), parameter.detach().numpy().dtype) for parameter in frozen]
        others = [make_row([frozen[i] for i in each], world) for each in deal(slots, row_bytes, row_bytes)]
        self._rows = [*rows, *others]
        self._gathered: list[DividedRow] = []
        self._in_forward = self._in_backward = self._is_open = False
        self._between: Handle | None = None
        for row in others:
            fix(row)
        for row in self._rows:
            row.adopt()
            if isinstance(row, DividedRow):
                row.wanted = self._gather
                row.release()
        if any(isinstance(row, DividedRow) for row in self._rows):
            for each in module.modules():
                if any(True for _ in each.parameters(recurse=False)):
                    each.register_forward_hook(self._module_has_run)

    @contextmanager
    def forward(self) -> Iterator[None]:
        """Within this context parameters may be used, by all ranks in the same order."""
        before, self._in_forward = self._in_forward, True
        if self._between is None and allgrad.is_grad_enabled():
            self._between = add_between_operations(self._operation_has_run)
        try:
            yield
        finally:
            self._in_forward = before
            self._release_all_but(_KEPT if allgrad.is_grad_enabled() else 0)

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Within this context every rank has all parameters; of what it changes it then keeps its share."""
        if self._is_open:
            yield
            return
        self._release_all_but(0)
        for row in self._rows:
            row.open()
        self._is_open = True
        try:
            yield
        finally:
            self._is_open = False
            for row in self._rows:
                row.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the module's ``state_dict``, with parameters in pieces, of which this rank has its own."""
        divided = [row for row in self._rows if isinstance(row, DividedRow)]
        for row in divided:
            row.wanted = _leave_as_it_is
        try:
            found = self._module.state_dict()
        finally:
            for row in divided:
                row.wanted = self._gather
        # One for each parameter, whatever number of names it has: a checkpoint holds it once.
        pieces = {id(memory_of(p)): row.pieces_of(i) for row in self._rows for i, p in enumerate(row.parameters)}
        return {
            name: pieces.get(id(memory_of(value)), value) if isinstance(value, Tensor) else value
            for name, value in found.items()
        }

    def _gather(self, row: DividedRow) -> None:
        if not (self._in_forward or callbacks.passes):
            raise RuntimeError(
                "a parameter that is divided among the ranks was used outside of model(...) and of backward: step with a "
                "dist.ShardedOptimizer, save with dist.Checkpointer, and for the rest let every rank enter `with "
                "model.gathered():`"
            )
        row.gather()
        self._gathered.append(row)

    def _release_all_but(self, kept: int) -> None:
        while len(self._gathered) > kept:
            self._gathered.pop(0).release()

    def _module_has_run(self, module: nn.Module, args: object, output: object) -> None:
        self._release_all_but(_KEPT)

    def _operation_has_run(self) -> None:
        if not self._in_backward:
            self._in_backward = True
            queue_callback(self._backward_has_run)
        self._release_all_but(_KEPT)

    def _backward_has_run(self) -> None:
        self._in_backward = False
        if self._between is not None:
            self._between.remove()
            self._between = None
        self._release_all_but(0)


def _leave_as_it_is(row: DividedRow) -> None:
    """For those who want to know of a parameter what does not depend on its values."""
