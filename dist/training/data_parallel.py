"""Training one model on every rank, each on its own share of the batch, with the mean of all gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import allgrad
from allgrad import nn

from ..communication.agreement import agree
from ..communication.collectives import send_from
from ..communication.objects import broadcast_object
from ..elastic.survival import can_survive, votes
from ..observation.spans import span
from ..observation.stragglers import StepTime
from ..reproducible.batch_sampler import require_a_shard_for_each
from ..reproducible.sameness import require_sameness, use_one_thread
from ..reproducible.sharded import ShardedStep
from ..sharding.gradients import ScatteringReducer
from ..world import World, current
from .buckets import MIB
from .kept_buffers import KeptBuffers
from .reducer import Reducer, require_one_layout

if TYPE_CHECKING:
    from allgrad import Tensor

# Two models of one class must not be taken for each other; all ranks make theirs in the same order.
_number_of_model = count(1)


class DataParallel(nn.Module):
    """Wraps *module* so that ``backward`` leaves the mean of all ranks' gradients in every ``.grad``.

    Every rank builds the same model and wraps it, after `init`; rank 0's parameters and buffers are then
    everyone's. Give the optimizer this wrapper's or the module's parameters, and every rank the loss of its own
    samples. As torch.nn.parallel.DistributedDataParallel, which is also its name here; the module stays reachable
    as ``.module``, and the names in ``state_dict()`` begin with ``module.``.

    Gradients are views of buckets, which are reduced while the backward pass goes on. A parameter that a rank did
    not use counts as zero there, without `find_unused_parameters`; one that no rank used keeps its ``.grad``
    (None). In a world of one rank this only calls the module.

    With *virtual_shards* it works in the reproducible mode instead: `backward` computes a step, and whatever the
    number of ranks it comes to the same bits. See docs/reproducible.md.

    Args:
        module: a model with at least one parameter that requires grad.
        broadcast_buffers: before each forward pass that follows one with gradients, take over rank 0's buffers, such
            as the running means of batch norm (default True).
        bucket_cap_mb: the size of a bucket in MiB (default 25).
        first_bucket_mb: the size of the first bucket, which is reduced earliest, in MiB (default 1).
        virtual_shards: into how many shards a step's batch is cut for the reproducible mode, at least one for each
            rank; None (default) for the fast mode.
        seed: from which the shards' random streams follow, with step and shard; default: rank 0's
            ``allgrad.initial_seed()``.
        shard_gradients: after ``backward`` leave each rank its share of the mean alone, and give the memory of the rest
            back (ZeRO-2; default False). The optimizer must be a `ShardedOptimizer`.
        check_finite: raise FloatingPointError on every rank, naming ranks and parameters, where any rank's gradient holds
            NaN or infinity (default True).
        device_ids, output_device, find_unused_parameters, gradient_as_bucket_view, static_graph: taken for PyTorch's
            sake; there are no devices, and the rest is always so.

    Raises RuntimeError on every rank, naming the first parameter that differs, where the ranks' models differ, and
    ValueError for a bucket size that is not positive and for fewer virtual shards than ranks; in the reproducible
    mode RuntimeError where hosts or packages differ in what results depend on to the bit.

    >>> import allgrad as torch
    >>> from allgrad import dist
    >>> model = dist.DataParallel(torch.nn.Linear(2, 1))
    >>> model(torch.ones(3, 2)).sum().backward()
    >>> model.module.bias.grad
    tensor([3.])
    """

    def __init__(
        self,
        module: nn.Module,
        device_ids: object = None,
        output_device: object = None,
        *,
        broadcast_buffers: bool = True,
        bucket_cap_mb: float = 25,
        first_bucket_mb: float = 1,
        virtual_shards: int | None = None,
        seed: int | None = None,
        shard_gradients: bool = False,
        check_finite: bool = True,
        find_unused_parameters: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("bucket_cap_mb", bucket_cap_mb), ("first_bucket_mb", first_bucket_mb)):
            if value <= 0:
                raise ValueError(f"DataParallel({name}={value}): a bucket has a size above 0 MiB, such as 25")
        parameters = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        if not parameters:
            raise RuntimeError(
                f"DataParallel({type(module).__name__}): no parameter requires grad, so there is nothing to average: "
                "call the module itself"
            )
        self.module = module
        self.broadcast_buffers = broadcast_buffers
        self._world = current()
        self._buffers_moved = False
        self._kept = KeptBuffers(module)
        self._reducer: Reducer | None = None
        self._sharded: ShardedStep | None = None
        if virtual_shards is not None and shard_gradients:
            raise ValueError(
                "DataParallel(virtual_shards=..., shard_gradients=True): the reproducible mode has whole gradients on every "
                "rank: leave shard_gradients out; a ShardedOptimizer divides the optimizer's state all the same"
            )
        if virtual_shards is not None:
            self._shard(virtual_shards, seed, parameters)
        else:
            make: type[Reducer] = ScatteringReducer if shard_gradients else Reducer
            self._check_finite = check_finite
            self._make_reducer = partial(
                make,
                f"model {next(_number_of_model)}, {type(module).__name__}",
                parameters,
                first_bytes=int(first_bucket_mb * MIB),
                bytes_=int(bucket_cap_mb * MIB),
            )
            self._reduce_in(self._world)
        if self._world.comm is not None:
            self._take_from_rank_0([*module.named_parameters(), *module.named_buffers()])

    def _reduce_in(self, world: World) -> None:
        """Reduce gradients over *world* from now on, which all of its ranks do at the same time."""
        before, self._world = self._reducer, world
        if before is not None:
            self._kept.put_back(before.steps)
            before.retire()
        self._reducer = None if world.comm is None else self._make_reducer(world=world)
        if self._reducer is not None:
            self._reducer.check_finite = self._check_finite
            self._reducer.enabled = before is None or before.enabled
        self._kept = KeptBuffers(self.module)

    def _shard(self, shards: int, seed: int | None, parameters: Sequence[tuple[str, Tensor]]) -> None:
        require_a_shard_for_each(self._world.size, shards, "DataParallel")
        use_one_thread()
        require_sameness(self._world)
        name = type(self.module).__name__
        layout = [f"{name} {p.dtype} {tuple(p.shape)}" for name, p in parameters]
        if self._world.comm is not None:
            require_one_layout(self._world, f"DataParallel({name}, virtual_shards={shards}, seed={seed})", layout)
        chosen = broadcast_object(allgrad.initial_seed()) if seed is None else seed
        self._sharded = ShardedStep(self.module, shards, chosen)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module."""
        if self._sharded is not None:
            output = self.module(*args, **kwargs)
            if not self._sharded.running:
                _refuse_backward(output)
            return output
        if self._world is not current():
            with votes.preparing():
                self._reduce_in(current())
            self._buffers_moved = True  # on a rank that has just joined, say
        if self._reducer is not None:
            self._begin(self._reducer)
        with span("forward"):
            return self.module(*args, **kwargs)

    def _begin(self, reducer: Reducer) -> None:
        """Before a forward pass: agree on the buffers, and let *reducer* be ready for the backward pass."""
        moved, self._buffers_moved = self._buffers_moved, allgrad.is_grad_enabled() and reducer.enabled
        if self._buffers_moved:
            reducer.prepare()
        buffers = list(self.module.named_buffers()) if moved and self.broadcast_buffers else []
        if buffers:
            self._take_from_rank_0(buffers)
        if allgrad.is_grad_enabled() and can_survive():
            self._kept.keep(reducer.steps)

    def backward(self, loss_fn: Callable[..., Any], *batch: Any) -> Any:
        """Compute a step in the reproducible mode: leave the gradients of the loss in every ``.grad``; return the loss.

        *batch* is this rank's part of the step's batch, as `DistributedBatchSampler` deals it: tensors, or what holds
        tensors, whose first dimension counts samples. It is cut into shards. For each, ``loss_fn(*shard)`` calls this
        wrapper or the module, and returns the mean loss of the shard's samples, or that and a dict of metrics,
        each the mean over the samples. One of allgrad's own losses, such as ``nn.CrossEntropyLoss()``, is given
        the model's output for the first part of the shard, and the other parts.

        Gradients add up, as everywhere, until ``zero_grad``. What is returned, a 0-d Tensor without gradient, or that
        and a dict of floats, is the mean over all samples, the same on every rank.

        Raises RuntimeError without *virtual_shards*, and ValueError on every rank where the ranks' parts of the
        batch are not whole shards.

        >>> import allgrad as torch
        >>> from allgrad import dist
        >>> parallel = dist.DataParallel(torch.nn.Linear(2, 1), virtual_shards=4)
        >>> loss = parallel.backward(lambda x: parallel(x).sum() / len(x), torch.ones(6, 2))
        >>> parallel.module.bias.grad
        tensor([1.])
        """
        return self._steps_of_shards("backward").learn(self._loss_of(loss_fn), batch)

    def evaluate(self, loss_fn: Callable[..., Any], *batch: Any) -> Any:
        """Return what `backward` would, in the reproducible mode, and leave gradients and buffers as they are.

        >>> import allgrad as torch
        >>> from allgrad import dist
        >>> parallel = dist.DataParallel(torch.nn.Linear(2, 1), virtual_shards=4).eval()
        >>> parallel.evaluate(lambda x: (parallel(x).mean(), {"samples": len(x)}), torch.ones(8, 2))[1]
        {'samples': 2.0}
        """
        return self._steps_of_shards("evaluate").evaluate(self._loss_of(loss_fn), batch)

    @property
    def steps(self) -> int:
        """How many steps `backward` has computed, which the shards' random streams follow from; a checkpoint keeps it."""
        return self._steps_of_shards("steps").steps

    @steps.setter
    def steps(self, number: int) -> None:
        self._steps_of_shards("steps").steps = number

    @property
    def seed(self) -> int:
        """What the shards' random streams follow from, besides step and shard; a checkpoint keeps it."""
        return self._steps_of_shards("seed").seed

    @seed.setter
    def seed(self, number: int) -> None:
        self._steps_of_shards("seed").seed = number

    @property
    def step_times(self) -> list[StepTime]:
        """How long a step takes each rank, computing and waiting for the others, in order of rank.

        Medians of eight steps; empty before the ninth, and in a world of one rank. A rank that
        computes for more than 1.5 times what the median rank needs is also warned of, by rank 0.
        """
        measured = self._reducer or self._sharded
        return measured.step_times.latest if measured is not None else []

    @property
    def virtual_shards(self) -> int | None:
        """Into how many shards a step is cut in the reproducible mode; None in the fast mode."""
        return None if self._sharded is None else self._sharded.shards

    def _steps_of_shards(self, name: str) -> ShardedStep:
        if self._sharded is None:
            raise RuntimeError(
                f"DataParallel.{name} belongs to the reproducible mode: wrap the model with virtual_shards=..., "
                "or call loss.backward() on the loss of this rank's samples"
            )
        return self._sharded

    def _loss_of(self, loss_fn: Callable[..., Any]) -> Callable[..., Any]:
        named = type(loss_fn) if isinstance(loss_fn, nn.Module) else loss_fn
        if not getattr(named, "__module__", "").startswith(("allgrad.nn.", "allgrad.operations.")):
            return loss_fn
        return lambda first, *others: loss_fn(self.module(first), *others)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Within this context gradients gather on each rank; the first ``backward`` after it reduces them all.

        For batches too large for memory: all parts but the last within ``no_sync()``. Forward passes belong into
        the context too.
        """
        if self._sharded is not None:
            raise RuntimeError(
                "DataParallel.no_sync belongs to the fast mode: with virtual_shards call backward(loss_fn, *batch) for "
                "each part of the batch; the gradients add up until zero_grad"
            )
        if self._reducer is None:
            yield
            return
        before, self._reducer.enabled = self._reducer.enabled, False
        try:
            yield
        finally:
            self._reducer.enabled = before

    def _take_from_rank_0(self, tensors: list[tuple[str, Tensor]]) -> None:
        shapes = ", ".join(f"{name} {tensor.dtype} {tuple(tensor.shape)}" for name, tensor in tensors)
        agree(self._world, f"rank 0's values of {shapes}")
        assert self._world.comm is not None
        for _, tensor in tensors:
            send_from(self._world.comm, tensor.detach().numpy(), 0)


def _refuse_backward(output: Any) -> None:
    """Let a backward pass from *output* raise: it would give this rank's gradients alone."""
    if isinstance(output, allgrad.Tensor):
        if output.requires_grad:
            output.register_hook(_say_what_to_call)
    elif isinstance(output, Mapping):
        for value in output.values():
            _refuse_backward(value)
    elif isinstance(output, list | tuple):
        for value in output:
            _refuse_backward(value)


def _say_what_to_call(gradient: object) -> None:
    raise RuntimeError(
        "loss.backward() on the output of DataParallel(virtual_shards=...) would give this rank's gradients alone: call "
        "loss = parallel.backward(loss_fn, *batch), where loss_fn(*batch) computes the loss"
    )


DistributedDataParallel = DataParallel
