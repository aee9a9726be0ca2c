"""Training one model on every rank, each on its own share of the batch, with the mean of all gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

import allgrad
from allgrad import nn
from allgrad.nn.lazy import UninitializedParameter

from ..communication.agreement import agree
from ..communication.collectives import send_from
from ..communication.groups import require_lasting_member
from ..compression.compressor import Compressor, compressor_for
from ..compression.method import Compression
from ..elastic.survival import can_survive, votes
from ..observation.spans import recording, span
from ..observation.stragglers import StepTime
from ..reproducible.sharded import ShardedStep, sharded_step
from ..sharding.gradients import ScatteringReducer
from ..sharding.parameters import DividedParameters, row_maker
from ..world import Group, current
from .autotune import Autotune, Settings, refuse_autotune
from .buckets import MIB
from .comm_hook import Hook, HookedReduction
from .join import Joining, follow, require_that_nothing_else_communicates
from .kept_buffers import KeptBuffers
from .known_parameters import KnownParameters
from .reducer import Reducer, rows_of_means

if TYPE_CHECKING:
    from allgrad import Tensor

# Two models of one class must not be taken for each other; all ranks of a group make theirs in the same order.
_models: Counter[tuple[int, ...]] = Counter()


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
        process_group: the ranks that train this model together, all of which wrap it (`dist.new_group`); default: all ranks.
            Not with virtual shards, nor with divided gradients or parameters. `SyncBatchNorm` has one of its own.
        shard_gradients: after ``backward`` leave each rank its share of the mean alone, and give the memory of the rest
            back (ZeRO-2; default False). The optimizer must be a `ShardedOptimizer`.
        shard_parameters: divide the parameters too (ZeRO-3; default False), and with them the gradients. The ranks of one
            host hold one copy together; those of several gather parameters when they are used, or with ``"host"``
            hold one copy on each host. See docs/sharding.md.
        autotune: try out other sizes of buckets in the first 48 steps, and keep those that make a step faster by 5 % or more
            (default False). Until then gradients take up to four times the memory. Numbers stay the same to the bit on
            one host and on two; on more they may not, as MPI adds up messages of other sizes in another order.
        compression: how gradients cross the network between hosts in fewer bytes, such as ``dist.PowerSGD(rank=4)``; None
            (default) for as they are. Within a host they are added up in shared memory as they are, unless it says
            ``everywhere=True``. See docs/compression.md.
        check_finite: raise FloatingPointError on every rank, naming ranks and parameters, where any rank's gradient holds
            NaN or infinity (default True).
        device_ids, output_device, find_unused_parameters, gradient_as_bucket_view, static_graph: taken for PyTorch's
            sake; there are no devices, and the rest is always so.

    A model that is wrapped again, as when some of its parameters were frozen and now are not, belongs to the new wrapper.

    Raises RuntimeError on every rank, naming the first parameter that differs, where the ranks' models differ, for lazy
    modules that have not been called yet, and, from a forward pass, for parameters that have begun to require a gradient
    since the model was wrapped;
    ValueError for a bucket size that is not positive, for fewer virtual shards than ranks, and for *compression* with
    virtual shards or divided gradients; TypeError for *compression* of complex parameters; in the reproducible mode
    RuntimeError where hosts or packages differ in what results depend on to the bit.

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
        process_group: Group | None = None,
        shard_gradients: bool = False,
        shard_parameters: bool | Literal["host"] = False,
        autotune: bool = False,
        compression: Compression | None = None,
        check_finite: bool = True,
        find_unused_parameters: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
    ) -> None:
        super().__init__()
        for name, value in (("bucket_cap_mb", bucket_cap_mb), ("first_bucket_mb", first_bucket_mb)):
            if value <= 0:
                raise ValueError(f"DataParallel({name}={value}): a bucket has a size above 0 MiB, such as 25")
        if shard_parameters not in (False, True, "host"):
            raise ValueError(f'DataParallel(shard_parameters={shard_parameters!r}): expected False, True or "host"')
        unknown = [name for name, p in module.named_parameters() if isinstance(p, UninitializedParameter)]
        if unknown:
            raise RuntimeError(
                f"DataParallel({type(module).__name__}): {', '.join(unknown)} have no shape yet, as lazy modules learn it "
                "from their first input: call the module once, on every rank, before it is wrapped"
            )
        parameters = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        if not parameters:
            raise RuntimeError(
                f"DataParallel({type(module).__name__}): no parameter requires grad, so there is nothing to average: "
                "call the module itself"
            )
        self.module = module
        self.broadcast_buffers = broadcast_buffers
        self._group = process_group
        self._world: Group = current() if process_group is None else process_group
        self._buffers_moved = False
        self._kept = KeptBuffers(module)
        self._known = KnownParameters(module)
        self._reducer: Reducer | None = None
        self._sharded: ShardedStep | None = None
        self._compressor: Compressor | None = None
        self._joining: Joining | None = None
        self._tunes, self._hooked = autotune, False
        self.divided: DividedParameters | None = None
        scatters = shard_gradients or bool(shard_parameters)
        self._divides = "shard_parameters" if shard_parameters else "shard_gradients" if scatters else None
        if process_group is not None:
            _check_group(process_group, virtual_shards=virtual_shards, divides=self._divides)
        if virtual_shards is not None and scatters:
            raise ValueError(
                f"DataParallel(virtual_shards=..., {self._divides}=True): the reproducible mode has whole gradients on every "
                f"rank: leave {self._divides} out; a ShardedOptimizer divides the optimizer's state all the same"
            )
        self._settings = Settings(first_bucket_mb, bucket_cap_mb)
        if autotune:
            refuse_autotune(virtual_shards=virtual_shards, shard_gradients=scatters, compression=compression)
        if compression is not None:
            self._compressor = compressor_for(
                compression, parameters, virtual_shards=virtual_shards, shard_gradients=scatters
            )
        make_row = None
        if virtual_shards is not None:
            self._sharded = sharded_step(module, virtual_shards, seed, current())
        else:
            make: Callable[..., Reducer] = ScatteringReducer if scatters else self._plain_reducer
            if shard_parameters and self._world.comm is not None:
                make_row = row_maker(current(), copy_per_host=shard_parameters == "host")
                make = partial(make, make_row=make_row)
            self._check_finite = check_finite
            _models[self._world.ranks] += 1
            self._make_reducer = partial(
                make,
                f"model {_models[self._world.ranks]}, {type(module).__name__}",
                parameters,
                first_bytes=int(first_bucket_mb * MIB),
                bytes_=int(bucket_cap_mb * MIB),
            )
            self._reduce_in(self._world)
            if autotune and self._reducer is not None:
                Autotune(self._reducer, self._world, self._settings, self._keep)
        if self._world.comm is not None:
            self._take_over([*module.named_parameters(), *module.named_buffers()], 0)
        if make_row is not None and isinstance(self._reducer, ScatteringReducer):
            size = int(bucket_cap_mb * MIB)
            self.divided = DividedParameters(module, self._reducer.rows, make_row, self._world, size)

    def __getstate__(self) -> object:
        """Return what copies and pickles are made of. Raises RuntimeError among several ranks, which a copy would have to meet."""
        if self._world.comm is not None:
            raise RuntimeError(
                "DataParallel cannot be copied or pickled among several ranks: copy its module, such as "
                "copy.deepcopy(model.module) or AveragedModel(model.module)"
            )
        return super().__getstate__()

    def _plain_reducer(self, *args: Any, **kwargs: Any) -> Reducer:
        how = rows_of_means if self._compressor is None else self._compressor.lay_out
        return Reducer(*args, lay_out=how, **kwargs)

    def _reduce_in(self, world: Group) -> None:
        """Reduce gradients over *world* from now on, which all of its ranks do at the same time."""
        before, self._world = self._reducer, world
        if before is not None:
            self._refuse_other_ranks()
            self._kept.put_back(before.steps)
            before.retire()
        self._reducer = None if world.comm is None else self._make_reducer(world=world)
        if self._reducer is not None:
            self._reducer.check_finite = self._check_finite
            self._reducer.enabled = before is None or before.enabled
        self._kept = KeptBuffers(self.module)

    @property
    def of_each_rank(self) -> dict[str, str]:
        """What every rank has for itself alone, which no other can tell, by what was asked for."""
        found = {
            "shard_parameters": ("a share of the parameters", self._divides == "shard_parameters"),
            "shard_gradients": ("a share of the gradients", self._divides == "shard_gradients"),
            "compression": ("gradients that it has not sent yet", self._compressor is not None),
            "register_comm_hook": ("the hook's state", self._hooked),
        }
        return {name: what for name, (what, asked) in found.items() if asked}

    def _refuse_other_ranks(self) -> None:
        for name, what in self.of_each_rank.items():
            if name in ("shard_parameters", "register_comm_hook"):
                raise RuntimeError(
                    f"DataParallel: ranks have died, and with {name} {what} may be gone with them: start again from a "
                    "checkpoint (allgrad run --restarts)"
                )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module."""
        if self._sharded is not None:
            return self._sharded.forward(*args, **kwargs)
        if self._world is not current() and self._group is None:
            with votes.preparing():
                self._reduce_in(current())
            self._buffers_moved = True  # on a rank that has just joined, say
        if self._reducer is not None:
            self._begin(self._reducer)
        if self.divided is not None:
            with span("forward"), self.divided.forward():
                return self.module(*args, **kwargs)
        # As self.module, without the search among parameters and buffers, which a small model would notice.
        module: Any = self._modules["module"]
        if recording() is None:
            return module(*args, **kwargs)
        with span("forward"):
            return module(*args, **kwargs)

    def train(self, mode: bool = True) -> Self:
        """Let the module behave as in training, or as in use; return the wrapper."""
        self._known.look_again()
        return super().train(mode)

    def _begin(self, reducer: Reducer) -> None:
        """Before a forward pass: agree on the buffers, and let *reducer* be ready for the backward pass."""
        self._meet_before_forward()
        moved, self._buffers_moved = self._buffers_moved, allgrad.is_grad_enabled() and reducer.enabled
        if self._buffers_moved:
            self._known.require()
            reducer.prepare()
        buffers = list(self.module.named_buffers()) if moved and self.broadcast_buffers else []
        if buffers:
            self._take_over(buffers, 0 if self._joining is None else self._joining.buffers())
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
        return self._steps_of_shards("backward").learn(loss_fn, batch)

    def evaluate(self, loss_fn: Callable[..., Any], *batch: Any) -> Any:
        """Return what `backward` would, in the reproducible mode, and leave gradients and buffers as they are.

        >>> import allgrad as torch
        >>> from allgrad import dist
        >>> parallel = dist.DataParallel(torch.nn.Linear(2, 1), virtual_shards=4).eval()
        >>> parallel.evaluate(lambda x: (parallel(x).mean(), {"samples": len(x)}), torch.ones(8, 2))[1]
        {'samples': 2.0}
        """
        return self._steps_of_shards("evaluate").evaluate(loss_fn, batch)

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

    def register_comm_hook(self, state: Any, hook: Hook) -> None:
        """Let *hook* reduce the gradients in place of the mean; as torch's, for ways of communication of one's own.

        ``hook(state, bucket)`` returns what becomes the gradients of a bucket: a Tensor like ``bucket.buffer()``, which
        is not divided by the number of ranks, or a future of one, as of ``dist.all_reduce(..., async_op=True)``. It is
        called at the end of the backward pass, for each bucket in order; every rank registers the same. For
        compression there is the argument *compression*, which goes on during the backward pass. In a world of one
        rank it is not called.

        Raises RuntimeError for a second hook, with *autotune* and with what else reduces in its own way; the
        backward pass raises TypeError or ValueError for a result that is not like the buffer.

        >>> import allgrad as torch
        >>> from allgrad import dist
        >>> def halved(state, bucket):
        ...     work = dist.all_reduce(bucket.buffer().div_(2), async_op=True)
        ...     return work.get_future().then(lambda future: future.value()[0])
        >>> dist.DataParallel(torch.nn.Linear(2, 1)).register_comm_hook(None, halved)
        """
        other = (
            self._hooked
            or self._compressor is not None
            or self._sharded is not None
            or self._tunes
            or isinstance(self._reducer, ScatteringReducer)
        )
        if other:
            raise RuntimeError(
                "DataParallel.register_comm_hook: gradients are already reduced in a way of their own (a hook, compression, "
                "autotune, virtual_shards or shard_gradients): wrap the model anew without it"
            )
        self._hooked = True
        if self._reducer is not None:
            agree(self._world, f"register_comm_hook({getattr(hook, '__qualname__', type(hook).__name__)})")
            hooked = HookedReduction(self._reducer, self._world, state, hook)
            self._reducer.use(replace(self._reducer.layout, reduction=hooked))

    @property
    def settings(self) -> Settings:
        """The sizes of buckets in use, and with *autotune* what came of it, the same on every rank.

        >>> from allgrad import dist, nn
        >>> dist.DataParallel(nn.Linear(2, 1)).settings
        Settings(first_bucket_mb=1, bucket_cap_mb=25, tuned=False, ratio=1.0)
        """
        return self._settings

    def _keep(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def compressor(self) -> Compressor | None:
        """What compresses the gradients, whose state a checkpoint keeps; None without *compression*."""
        return self._compressor

    def _steps_of_shards(self, name: str) -> ShardedStep:
        if self._sharded is None:
            raise RuntimeError(
                f"DataParallel.{name} belongs to the reproducible mode: wrap the model with virtual_shards=..., "
                "or call loss.backward() on the loss of this rank's samples"
            )
        return self._sharded

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

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Within this context all parameters are whole on every rank, also those that ``shard_parameters`` has divided.

        Every rank enters it. What ranks change there they all change in the same way: each keeps its share.

        >>> import allgrad as torch
        >>> from allgrad import dist
        >>> model = dist.DataParallel(torch.nn.Linear(2, 1), shard_parameters=True)
        >>> with model.gathered():
        ...     state = model.module.state_dict()
        >>> list(state)
        ['weight', 'bias']
        """
        with self.divided.gathered() if self.divided is not None else nullcontext():
            yield

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load what ``state_dict()`` of a wrapper returned; every rank calls it, with the same."""
        with self.gathered():
            return super().load_state_dict(state_dict, strict, assign)

    @contextmanager
    def join(
        self,
        divide_by_initial_world_size: bool = True,
        enable: bool = True,
        throw_on_early_termination: bool = False,
        *,
        states: Sequence[Any] = (),
    ) -> Iterator[None]:
        """Within this context ranks may have different numbers of batches, none included; it goes around the whole pass.

        A rank that leaves the context takes part in what the others still do, with gradients of zero and without
        an optimizer's step. Once all have left, each has the weights and buffers of the rank that went on longest,
        and the *states* of its optimizers and schedulers. As in PyTorch, but for *states*: PyTorch leaves each rank's
        optimizer where it was, and so lets ranks drift apart whose optimizers have momentum.

        Args:
            divide_by_initial_world_size: divide gradients by the number of all ranks (default), or by that of the
                ranks that still have batches.
            enable: False turns this off, for inputs known to be even.
            throw_on_early_termination: raise RuntimeError on every rank as soon as one has left and another begins a
                forward pass.
            states: optimizers and schedulers that are to follow, in the same order on every rank.

        Raises RuntimeError on every rank where ranks with batches do something else together, such as a step of a
        `ShardedOptimizer`; at once for models with `SyncBatchNorm`, with divided gradients and with virtual shards: of
        these the first two work with *throw_on_early_termination*.

        >>> import allgrad as torch
        >>> from allgrad import dist
        >>> model = dist.DataParallel(torch.nn.Linear(2, 1))
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with model.join(states=[optimizer]):
        ...     for batch in torch.ones(4, 3, 2):
        ...         optimizer.zero_grad()
        ...         model(batch).sum().backward()
        ...         optimizer.step()
        """
        if not enable or self._reducer is None:
            if self._sharded is not None and enable:
                raise RuntimeError(
                    "DataParallel.join belongs to the fast mode: with virtual_shards a DistributedBatchSampler deals out what "
                    "there is, and no rank runs out before the others"
                )
            yield
            return
        if not throw_on_early_termination:
            require_that_nothing_else_communicates(self.module, divided=isinstance(self._reducer, ScatteringReducer))
        self._joining = joining = Joining(
            self._world,
            divide_by_initial_world_size=divide_by_initial_world_size,
            refuse_early=throw_on_early_termination,
        )
        self._reducer.before_each = None if throw_on_early_termination else joining.gradients
        try:
            yield
            source = joining.take_part(self._take_over_buffers, self._reducer.take_part)
        finally:
            self._joining = self._reducer.before_each = None
        if source is not None:
            self._take_over([*self.module.named_parameters(), *self.module.named_buffers()], source)
            self._buffers_moved = False
            follow(states, source, self._world)

    def _meet_before_forward(self) -> None:
        if self._joining is not None and self._joining.refuse_early and allgrad.is_grad_enabled():
            self._joining.forward()

    def _take_over_buffers(self, source: int) -> None:
        self._take_over(list(self.module.named_buffers()), source)

    def _take_over(self, tensors: list[tuple[str, Tensor]], source: int) -> None:
        shapes = ", ".join(f"{name} {tensor.dtype} {tuple(tensor.shape)}" for name, tensor in tensors)
        agree(self._world, f"rank {source}'s values of {shapes}")
        assert self._world.comm is not None
        for _, tensor in tensors:
            send_from(self._world.comm, tensor.detach().numpy(), source)


def _check_group(group: Group, *, virtual_shards: int | None, divides: str | None) -> None:
    """Raise ValueError unless models can be trained by *group* alone."""
    require_lasting_member(group, "DataParallel")
    other = "virtual_shards" if virtual_shards is not None else divides
    if other is not None:
        raise ValueError(
            f"DataParallel(process_group=..., {other}=...): {other} is for all ranks: leave one of them out"
        )


DistributedDataParallel = DataParallel
