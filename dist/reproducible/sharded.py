"""The reproducible step: forward, loss and backward for each virtual shard, added up along a fixed tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np

import allgrad
from allgrad import nn

from ..communication.agreement import agree, require_one_layout
from ..communication.objects import broadcast_object
from ..elastic.survival import votes
from ..observation.spans import waiting
from ..observation.stragglers import StepMeter, StepTime, Stragglers
from ..training.sync_batch_norm import SyncBatchNorm
from ..world import World, current
from .batch_sampler import require_a_shard_for_each
from .pieces import first_length
from .rows import Array, Row, Rows
from .sameness import require_sameness, use_one_thread
from .shard_buffers import ShardBuffers
from .shard_passes import Outcome, ShardPass
from .shards import Span, cut, fold, owned, subtrees, sum_of
from .tree_sum import sum_over_ranks
from .turns import take_turns

_LEARNING = int.from_bytes(b"shards", "little")  # tells the streams of shards from other streams of one seed
_EVALUATING = int.from_bytes(b"examine", "little")
_number_of_model = count(1)


def sharded_step(module: nn.Module, shards: int, seed: int | None, world: World) -> ShardedStep:
    """Return the steps of *module* in *shards* shards, if *world* can compute them to the bit; *seed* None: rank 0's.

    Raises ValueError for fewer shards than ranks, and RuntimeError on every rank where hosts, packages or models differ.
    """
    require_a_shard_for_each(world.size, shards, "DataParallel")
    use_one_thread()
    require_sameness(world)
    name = type(module).__name__
    layout = [f"{name} {p.dtype} {tuple(p.shape)}" for name, p in module.named_parameters() if p.requires_grad]
    if world.comm is not None:
        require_one_layout(world, f"DataParallel({name}, virtual_shards={shards}, seed={seed})", layout)
    chosen = broadcast_object(allgrad.initial_seed()) if seed is None else seed
    return ShardedStep(module, shards, chosen)


class ShardedStep:
    """Runs the steps of *module* in *shards* virtual shards, of which this rank computes contiguous ones.

    Whatever the number of ranks, the same shards are computed from the same parameters, buffers and random streams,
    and what they give is added in the same order. So the bits are the same.
    """

    def __init__(self, module: nn.Module, shards: int, seed: int) -> None:
        self.shards, self.seed, self.steps = shards, seed, 0
        self.running = False
        self._module = module
        self._name = f"model {next(_number_of_model)}, {type(module).__name__}"
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._buffers = ShardBuffers(module)
        shapes = [(tuple(t.shape), t.detach().numpy().dtype) for t in (*self._parameters, *self._buffers.averaged)]
        self._rows = Rows(shapes)
        self._home = Row(shapes)
        self._meter = StepMeter(self._world.rank)
        self.step_times = Stragglers()

    @property
    def _world(self) -> World:
        return current()  # which is another one after a rank has died

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module; outside of a step a backward pass from what it returns raises, as it would be this rank's alone."""
        output = self._module(*args, **kwargs)
        if not self.running:
            _refuse_backward(output)
        return output

    def learn(self, loss_fn: Callable[..., Any], batch: Sequence[Any]) -> Any:
        """Add the gradients of the batch's loss to every ``.grad``; return the loss, and metrics if there are any."""
        votes.begin()
        sizes = self._agree_on_sizes(batch, "backward")
        passes = self._passes(self._loss_of(loss_fn), batch, sizes, _LEARNING)
        earlier = [parameter.grad for parameter in self._parameters]
        self.running = True
        try:
            rows = self._learn_in_turn(passes) if self._in_turn() else {}
            roots = {node: self._fold(node, passes, rows) for node in subtrees(self._span, (0, self.shards))}
        finally:
            self.running = False
            for parameter, gradient in zip(self._parameters, earlier, strict=True):
                parameter.grad = gradient
        mine = [done.outcome for done in passes.values()]
        used = np.zeros(len(self._parameters), bool)
        for done in passes.values():
            used |= done.used
        everyones = self._gather((mine, used, _counts(passes), self._meter.step()))
        total = self._sum(roots)
        votes.approve(self._world)
        self._buffers.move(total.views[len(self._parameters) :], everyones[0][2])
        self._keep(total, np.any([used for _, used, *_ in everyones], axis=0))
        self._hear_times([time for *_, time in everyones])
        self.steps += 1
        return self._means([outcome for found, *_ in everyones for outcome in found])

    def evaluate(self, loss_fn: Callable[..., Any], batch: Sequence[Any]) -> Any:
        """Return the batch's loss, and metrics if there are any; gradients and buffers stay as they are."""
        passes = self._passes(self._loss_of(loss_fn), batch, self._agree_on_sizes(batch, "evaluate"), _EVALUATING)
        self.running = True
        try:
            if self._in_turn():
                take_turns(self._world, self.shards, {v: done.measure for v, done in passes.items()}, passes)
            else:
                for shard in passes.values():
                    shard.measure()
        finally:
            self.running = False
        everyones = self._gather([done.outcome for done in passes.values()])
        return self._means([outcome for found in everyones for outcome in found])

    def _loss_of(self, loss_fn: Callable[..., Any]) -> Callable[..., Any]:
        """Return *loss_fn*; one of allgrad's own losses is given the module's output for the first part of a shard."""
        named = type(loss_fn) if isinstance(loss_fn, nn.Module) else loss_fn
        if not getattr(named, "__module__", "").startswith(("allgrad.nn.", "allgrad.operations.")):
            return loss_fn
        return lambda first, *others: loss_fn(self._module(first), *others)

    @property
    def _span(self) -> Span:
        return owned(self._world.rank, self._world.size, self.shards)

    def _agree_on_sizes(self, batch: Sequence[Any], name: str) -> list[int]:
        """Return how many samples each shard has, of the batch that all ranks have together."""
        samples = first_length(batch, name)
        agree(self._world, f"{name} of {self._name}, step {self.steps}, {self.shards} virtual shards")
        counts = self._gather(samples)
        sizes = cut(sum(counts), self.shards)
        for rank, found in enumerate(counts):
            start, end = owned(rank, self._world.size, self.shards)
            if found != sum(sizes[start:end]):
                raise ValueError(
                    f"{name}: rank {rank} has {found} of the batch's {sum(counts)} samples, but shards {start} to "
                    f"{end - 1} of {self.shards} have {sum(sizes[start:end])}: deal the batches with "
                    f"dist.DistributedBatchSampler(dataset, batch_size, virtual_shards={self.shards})"
                )
        if not sum(sizes):
            raise ValueError(f"{name}: the batch has no samples on any rank")
        return sizes

    def _passes(
        self, loss_of: Callable[..., Any], batch: Sequence[Any], sizes: list[int], use: int
    ) -> dict[int, ShardPass]:
        """Make the passes of this rank's shards that have samples."""
        start, end = self._span
        made = {}
        for shard in range(start, end):
            first = sum(sizes[start:shard])
            if sizes[shard]:
                made[shard] = ShardPass(
                    loss_of,
                    batch,
                    slice(first, first + sizes[shard]),
                    sizes[shard] / sum(sizes),
                    ((self.seed, use), (self.steps, shard)),
                    self._parameters,
                    self._buffers,
                )
        return made

    def _in_turn(self) -> bool:
        """Whether the shards must know of each other in the middle of the step."""
        return any(isinstance(part, SyncBatchNorm) for part in self._module.modules())

    def _learn_in_turn(self, passes: Mapping[int, ShardPass]) -> dict[int, Row]:
        rows = {shard: self._rows.take() for shard in passes}
        tasks = {shard: partial(done.learn, rows[shard]) for shard, done in passes.items()}
        take_turns(self._world, self.shards, tasks, passes)
        return rows

    def _fold(self, node: Span, passes: Mapping[int, ShardPass], rows: Mapping[int, Row]) -> Row:
        """Return the sum below *node*; a shard that is not in *rows*, and has samples, is computed when it is needed."""

        def known(node: Span) -> Row | None:
            if node[1] - node[0] > 1:
                return None
            if node[0] in rows:
                return rows[node[0]]
            row = self._rows.take()
            if node[0] in passes:
                passes[node[0]].learn(row)
            else:
                row.clear()
            return row

        return fold(node, known, self._rows.add)

    def _gather(self, mine: Any) -> list[Any]:
        with waiting("what the other ranks' shards came to"):
            return [mine] if self._world.comm is None else self._world.comm.allgather(mine)

    def _hear_times(self, times: Sequence[StepTime | None]) -> None:
        """Take over the times of all ranks, where each has one: those of ranks that joined later come at other steps."""
        told = [replace(time, rank=rank) for rank, time in enumerate(times) if time is not None]
        if len(told) == len(times) > 1:
            self.step_times.hear(told, warn=self._world.rank == 0)

    def _sum(self, roots: Mapping[Span, Row]) -> Row:
        if self._world.comm is None:
            return roots[0, self.shards]
        with waiting("the gradients of all shards"):
            return sum_over_ranks(self._world.comm, self.shards, self._rows, roots)

    def _keep(self, total: Row, used: Array) -> None:
        """Show the summed gradients in every ``.grad``, added to what is there from earlier batches."""
        if all(parameter.grad is None for parameter in self._parameters):
            total, self._home = self._home, total
            for number, parameter in enumerate(self._parameters):
                if used[number]:
                    parameter.grad = allgrad.from_numpy(self._home.views[number])
        else:
            self._add(total, used)
        self._rows.give_back(total)

    def _add(self, total: Row, used: Array) -> None:
        for number, parameter in enumerate(self._parameters):
            if not used[number]:
                continue
            if parameter.grad is None:
                self._home.views[number][...] = total.views[number]
                parameter.grad = allgrad.from_numpy(self._home.views[number])
            else:
                values = parameter.grad.detach().numpy()
                np.add(values, total.views[number], out=values)

    def _means(self, outcomes: Sequence[Outcome]) -> Any:
        """Return the means over all samples of the losses and metrics, which are added along the tree too."""
        samples = sum(outcome.samples for outcome in outcomes)
        nothing = [-0.0] * (self.shards - len(outcomes))

        def mean(values: list[float]) -> float:
            shares = [value * outcome.samples for value, outcome in zip(values, outcomes, strict=True)]
            return sum_of(shares + nothing) / samples

        loss = allgrad.tensor(mean([outcome.loss for outcome in outcomes]), dtype=outcomes[0].dtype)
        names = list(outcomes[0].metrics)
        if not names:
            return loss
        return loss, {name: mean([outcome.metrics[name] for outcome in outcomes]) for name in names}


def _counts(passes: Mapping[int, ShardPass]) -> list[Array]:
    return next(iter(passes.values())).copies.counts() if passes else []


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
