"""The mean of all ranks' gradients, taken while the backward pass still runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np

import allgrad
from allgrad.autograd.graph import Handle, add_between_operations, queue_callback, set_gradient_destination

from ..communication.agreement import Announcement, require_one_layout
from ..elastic.survival import votes
from ..observation import spans
from ..observation.stragglers import StepTimes
from ..watchdog.progress import new_line
from ..world import Group
from .allreduce import Allreduce
from .buckets import Bucket, Slot, bucket_name, deal, row_size
from .finite import Finiteness
from .rows import Between, Reduction, lay_out

if TYPE_CHECKING:
    from mpi4py import MPI

    from allgrad import Tensor


_living: WeakSet[Reducer] = WeakSet()
"""Those that reduce: a parameter belongs to one of them, the latest that was given it."""

LayOut = Callable[["MPI.Intracomm", Sequence[Sequence[Slot]]], tuple[Sequence[Any], Reduction]]


def rows_of_means(
    comm: MPI.Intracomm, members: Sequence[Sequence[Slot]], *, between: Between = Allreduce, apart: bool = False
) -> tuple[Sequence[Bucket], Reduction]:
    """Return buckets of *members*, whose means every rank gets whole, and what reduces them; options as of `rows.lay_out`."""
    sizes, dtypes = [row_size(each) for each in members], [each[0].dtype for each in members]
    rows = lay_out(comm, sizes, dtypes, between=between, apart=apart)
    buckets = [Bucket(*each) for each in zip(members, rows.brought, rows.means, strict=True)]
    return buckets, rows.reduction


@dataclass(frozen=True)
class Layout:
    """Which parameters lie in which bucket, by their numbers, where these are, and what reduces them."""

    dealt: list[list[int]]
    buckets: Sequence[Bucket]
    reduction: Reduction


class Reducer:
    """Reduces the gradients of *parameters*, pairs of name and leaf, over the ranks of *comm*, bucket by bucket.

    Buckets are filled in the reverse order of the parameters, which is about the order in which gradients come, and
    every rank starts bucket k only after bucket k-1: MPI pairs the calls of the ranks by their order alone. A
    bucket starts as soon as its last gradient is there; what has not come when the backward pass ends is unused,
    counts as zero, and is started then. A parameter that no rank used keeps its ``.grad`` as it was.

    *name* tells its model from others, and *steps* counts the backward passes whose reduction all ranks have agreed on.

    Raises RuntimeError on every rank, naming parameters and ranks, when the ranks have different parameters.
    """

    def __init__(
        self,
        name: str,
        parameters: Sequence[tuple[str, Tensor]],
        world: Group,
        *,
        first_bytes: int,
        bytes_: int,
        lay_out: LayOut = rows_of_means,
    ) -> None:
        assert world.comm is not None
        self.enabled = True
        self.check_finite = True
        self.after_each: Callable[[float], None] | None = None
        """Called after each step, with the seconds from its first gradient to its last mean."""
        self.before_each: Callable[[], float] | None = None
        """Called before gradients are reduced; returns by what to multiply their means."""
        self.steps = 0
        self._world = world
        self._names, self._parameters = zip(*reversed(parameters), strict=True)
        self._is_retired = False
        slots = [
            Slot(name, tuple(parameter.shape), parameter.detach().numpy().dtype)
            for name, parameter in zip(self._names, self._parameters, strict=True)
        ]
        self._slots, self._lay_out = slots, lay_out
        dealt = self.deal(first_bytes, bytes_)
        layout = [f"buckets of {first_bytes} and {bytes_} bytes", *map(str, reversed(slots))]
        require_one_layout(world, f"DataParallel({name})", layout)
        self._retire_others()
        self._line = new_line(f"gradients of {name}", world.ranks)
        self._announced = f"the gradients of {name}, first {bucket_name(0, slots, dealt[0])}"
        # Of its own: when times are exchanged depends on the moment, so that on the script's communicator that could be
        # taken for something that the script does.
        self.step_times = StepTimes(world.comm.Dup(), world.ranks)
        self._polling: Handle | None = None
        self._announcement: Announcement | None = None
        self.use(self.laid_out(dealt))
        self._hooks: list[Handle] = [
            parameter.register_post_accumulate_grad_hook(self._arrival_of(i))
            for i, parameter in enumerate(self._parameters)
        ]
        _living.add(self)

    def _retire_others(self) -> None:
        mine = {id(parameter) for parameter in self._parameters}
        for other in list(_living):
            if any(id(parameter) in mine for parameter in other._parameters):
                other.retire()

    def retire(self) -> None:
        """Reduce no more, whatever was under way: the world has become another one, or another reducer has the parameters."""
        self._is_retired = True
        _living.discard(self)
        for hook in [*self._hooks, *([self._polling] if self._polling else [])]:
            hook.remove()
        for parameter in self._parameters:
            set_gradient_destination(parameter, None)

    def deal(self, first_bytes: int, bytes_: int) -> list[list[int]]:
        """Return which parameters would lie in which bucket, by their numbers; see `buckets.deal`."""
        return deal(self._slots, first_bytes, bytes_)

    def laid_out(self, dealt: list[list[int]]) -> Layout:
        """Return buckets for *dealt*, and what reduces them; all ranks call this."""
        assert self._world.comm is not None
        return Layout(dealt, *self._lay_out(self._world.comm, [[self._slots[i] for i in bucket] for bucket in dealt]))

    def use(self, layout: Layout) -> None:
        """Between two steps: from now on let gradients lie in the buckets of *layout*."""
        self.layout = layout
        self._dealt, self._reduction = layout.dealt, layout.reduction
        self._buckets: Sequence[Bucket] = layout.buckets
        names = [[self._names[i] for i in bucket] for bucket in self._dealt]
        self._finiteness = Finiteness(self._reduction, self._buckets, names)
        self._what = [f"the reduction of {bucket_name(k, self._slots, each)}" for k, each in enumerate(self._dealt)]
        self._place = {i: (k, at) for k, bucket in enumerate(self._dealt) for at, i in enumerate(bucket)}
        self._reset()
        for i, parameter in enumerate(self._parameters):
            if parameter.requires_grad:  # else it is frozen for now, and `_settle` sees to it later
                set_gradient_destination(parameter, self._view(i))

    def parameters_of(self, number: int) -> list[Tensor]:
        """Return the parameters whose gradients lie in bucket *number*."""
        return [self._parameters[i] for i in self._dealt[number]]

    def prepare(self) -> None:
        """Before a forward pass: let the backward pass that follows give MPI a moment between operations.

        Raises RuntimeError when the last backward pass ended in an exception, as the ranks are then out of step, and
        when the parameters have gone to another reducer.
        """
        if self._is_retired:
            raise RuntimeError(
                "these parameters have been wrapped again, and their gradients are reduced for the later wrapper: call that one"
            )
        if self._running:
            raise RuntimeError(
                "the last backward pass ended before its gradients were reduced, so the ranks are out of step: "
                "let its exception end the run, and start again from a checkpoint"
            )
        if self._polling is None:
            votes.begin()
            self._polling = add_between_operations(self._poll)

    def take_part(self, factor: float) -> None:
        """Reduce the gradients of the other ranks, to which this one adds none; the means times *factor* are shown here too."""
        for parameter in self._parameters:
            parameter.grad = None
        votes.begin()
        self._running = True
        self._first_gradient = spans.now()
        self._factor = factor
        self._announcement = Announcement(self._world, self._announced)
        self._finish()

    def _reset(self) -> None:
        self._running = False
        self._missing = [set(bucket) for bucket in self._dealt]
        self._started = self._finished = 0
        self._factor = 1.0
        self._began: int | None = None
        self._first_gradient = spans.now()
        self._started_at: list[int] = []

    def _view(self, i: int) -> np.ndarray[Any, Any]:
        bucket, at = self._place[i]
        return self._buckets[bucket].views[at]

    def _arrival_of(self, i: int) -> Callable[[Tensor], None]:
        def arrived(parameter: Tensor) -> None:
            if self.enabled:
                if not self._running:
                    self._begin()
                self._arrived(i, parameter)

        return arrived

    def _begin(self) -> None:
        self._running = True
        self._first_gradient = spans.now()
        queue_callback(self._finish)
        if self.before_each is not None:
            self._factor = self.before_each()
        self._announcement = Announcement(self._world, self._announced)

    def _arrived(self, i: int, parameter: Tensor) -> None:
        bucket, at = self._place[i]
        if i not in self._missing[bucket]:
            raise RuntimeError(
                f"{self._names[i]} got a gradient twice in one backward pass, the second time after it was reduced: "
                "call a module that reruns its forward pass (checkpointing) only once, or wrap this in no_sync()"
            )
        self._settle(i, parameter)
        self._buckets[bucket].flags[at] = 1
        self._missing[bucket].discard(i)
        if not self._missing[bucket]:
            self._start_what_is_ready()

    def _settle(self, i: int, parameter: Tensor) -> None:
        """See to it that the gradient lies in the bucket, also where the script has replaced it."""
        gradient = parameter.grad
        assert gradient is not None
        if gradient.requires_grad:
            raise RuntimeError(
                f"the gradient of {self._names[i]} is itself recorded (create_graph=True), which a mean over ranks "
                "would cut off: run that pass in no_sync()"
            )
        if gradient.numpy() is not self._view(i):
            set_gradient_destination(parameter, self._view(i))

    def _poll(self) -> None:
        if self._began is None:
            self._began = spans.now()
        if self._announcement is not None:
            self._start_what_is_ready()
        while self._finished < self._started and self._reduction.is_done(self._finished):
            self._finish_next()

    def _start_what_is_ready(self) -> None:
        if self._announcement is not None:
            if not self._announcement.is_answered():
                return
            self._settle_announcement()
        while self._started < len(self._buckets) and not self._missing[self._started]:
            if self.check_finite:
                self._finiteness.before(self._started)
            self._line.begin(self._what[self._started])
            self._reduction.start(self._started)
            self._started_at.append(spans.now())
            self._started += 1

    def _settle_announcement(self) -> None:
        if self._announcement is not None:
            self._announcement.settle()
            self._announcement = None

    def _finish_next(self) -> None:
        self._reduction.finish(self._finished)
        if self._factor != 1:
            for mean in self._buckets[self._finished].means:
                mean *= mean.dtype.type(self._factor)
        spans.add(self._what[self._finished], spans.EXCHANGE, self._started_at[self._finished], spans.now())
        self._finished += 1

    def _finish(self) -> None:
        """At the end of the backward pass: reduce what is left, and show every gradient in its ``.grad``."""
        for missing in self._missing:
            for i in missing:
                self._contribute_nothing_new(i)
            missing.clear()
        if self._began is not None:
            spans.add("backward", spans.SCRIPT, self._began, spans.now())
        with spans.waiting("the last gradients of all ranks"):
            self._settle_announcement()
            self._start_what_is_ready()
            while self._finished < self._started:
                self._finish_next()
            votes.approve(self._world)
        self.steps += 1
        self._show_means()
        if self._polling is not None:
            self._polling.remove()
            self._polling = None
        finiteness = self._finiteness
        took = spans.now() - self._first_gradient
        self._reset()
        self.step_times.step()
        if self.after_each is not None:
            self.after_each(took / 1e9)
        if self.check_finite:
            finiteness.require(self._world)

    def _contribute_nothing_new(self, i: int) -> None:
        """Count an unused parameter as zero, or as what earlier passes have gathered in its ``.grad``."""
        bucket, at = self._place[i]
        parameter = self._parameters[i]
        self._buckets[bucket].flags[at] = parameter.grad is not None
        if parameter.grad is None:
            self._view(i)[...] = 0
        else:
            self._settle(i, parameter)

    def _show_means(self) -> None:
        for bucket, members in zip(self._buckets, self._dealt, strict=True):
            for i, mean, used in zip(members, bucket.means, bucket.used.tolist(), strict=True):
                parameter = self._parameters[i]
                if used and (parameter.grad is None or parameter.grad.numpy() is not mean):
                    parameter.grad = allgrad.from_numpy(mean)
