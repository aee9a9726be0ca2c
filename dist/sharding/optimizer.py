"""An optimizer of which every rank keeps the state for its own share of the parameters alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import allgrad
from allgrad import Tensor
from allgrad.optim import Optimizer

from ..communication.agreement import agree, require_one_layout
from ..communication.objects import gather_object, gather_objects
from ..world import Group, current
from .clip import clip, total_norm
from .gradients import ScatteredGradient
from .shares import Array, Row, Share, is_fixed, rows_for
from .state import cut_for, described, held, in_pieces, joined


class ShardedOptimizer(Optimizer):
    """Any optimizer, of which each of n ranks keeps 1/n of the state and computes 1/n of the step (ZeRO-1).

    Parameters of one dtype come to lie in rows of memory, each of which is cut into one interval for each rank;
    after a step of *optimizer_class* on its own intervals every rank gets those of the others. The result is that of
    the whole optimizer, to the bit: rules work element by element. Adafactor, Muon, and optimizers with a ``step`` of
    their own get whole parameters. Gradients must be the same on every rank, as `DataParallel` leaves them; with
    ``DataParallel(model, shard_gradients=True)`` each rank has its share of them alone (ZeRO-2).

    Learning-rate schedulers, hooks, groups and `Checkpointer` work as with any optimizer. See docs/sharding.md.

    Args:
        optimizer_class: such as ``optim.Adam``.
        params: as of that class; the same on every rank.
        group: the ranks that divide the work (default: all).
        options: of that class, such as ``lr``.

    Raises ValueError without parameters, and RuntimeError on every rank where theirs differ.

    Rajbhandari et al. 2020, ZeRO: memory optimizations toward training trillion parameter models.

    >>> import allgrad as torch
    >>> from allgrad import dist
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = dist.ShardedOptimizer(torch.optim.SGD, model.parameters(), lr=0.5)
    >>> before = model.bias.item()
    >>> model(torch.ones(3, 2)).sum().backward()
    >>> optimizer.step()
    >>> round(before - model.bias.item(), 4)
    1.5
    """

    def __init__(
        self, optimizer_class: type[Optimizer], params: Iterable[Any], *, group: Group | None = None, **options: Any
    ) -> None:
        self._name = f"ShardedOptimizer({optimizer_class.__name__})"
        self._given_group = group
        self._group: Group = current() if group is None else group
        self._class, self._options = optimizer_class, options
        self._inner: Optimizer | None = None
        self._rows: list[Row] = []
        self._shares: dict[Tensor, Share] = {}
        self._consolidated: dict[str, Any] | None = None
        self._complete = False
        listed: Any = params if isinstance(params, Tensor) else list(params)
        if not isinstance(listed, Tensor) and not listed:
            raise ValueError(f"{self._name} got no parameters: give it model.parameters() of a model that has some")
        super().__init__(listed, options)
        self._complete = True
        self._require_one_layout()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, on every rank the same."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        rows = rows_for(group["params"], self._group, between_parameters=not _is_elementwise(self._class))
        if not _is_elementwise(self._class) and any(is_fixed(row) for row in rows):
            raise ValueError(
                f"{self._name}: this rule needs whole parameters, and shard_gradients=True cuts through them: "
                "leave shard_gradients out, or use a rule that works element by element, such as AdamW"
            )
        places = {id(parameter): (row, i) for row in rows for i, parameter in enumerate(row.parameters)}
        for row in rows:
            row.adopt()
        self._rows += [row for row in rows if not any(row is known for known in self._rows)]
        shares = []
        for parameter in group["params"]:
            row, i = places[id(parameter)]
            share = row.share_of(i)
            if share.numel() or (share.is_whole and self._group.rank == 0):
                self._shares[parameter] = share
                shares.append(share)
        own = {name: value for name, value in group.items() if name != "param_names"} | {"params": shares}
        if self._inner is None:
            self._inner = self._class([own], **self._options)
            self.defaults = self._inner.defaults
            self.state = self._inner.state
        else:
            self._inner.add_param_group(own)
        group.update({name: value for name, value in self._inner.param_groups[-1].items() if name != "params"})
        if self._complete:
            self._require_one_layout()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient once, on all ranks; return what *closure* returns.

        Every rank calls it. *closure* computes the loss anew and calls ``backward``.
        """
        loss = None
        if closure is not None:
            with allgrad.enable_grad():
                loss = closure()
        self._require_its_ranks()
        inner = self._optimizer()
        self._consolidated = None
        for ours, own in zip(self.param_groups, inner.param_groups, strict=True):
            own.update({name: value for name, value in ours.items() if name not in ("params", "param_names")})
        for row in self._rows:
            row.adopt()
            row.begin_change()
        for parameter, share in self._shares.items():
            share.grad = _part_of_gradient(parameter, share)
        inner.step()
        for share in self._shares.values():
            share.grad = None
        agree(self._group, f"a step of {self._name}")
        for row in self._rows:
            row.spread()
        return loss

    def clip_grad_norm_(
        self, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
    ) -> Tensor:
        """Scale the gradients so that their common norm over all shares is at most *max_norm*; return the norm before.

        Every rank calls it; each computes the norm of its share. RuntimeError if the norm is not finite and
        *error_if_nonfinite*.
        """
        shares, arrays = [], []
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                share = self._shares.get(parameter)
                if gradient is None:
                    continue
                part = _part_of_gradient(parameter, share).numpy() if share is not None else None
                shares += [] if part is None else [part]
                if not isinstance(gradient, ScatteredGradient):
                    arrays.append(gradient.numpy())
                elif part is not None:
                    arrays.append(part)
        total = total_norm(shares, self._group, norm_type, f"{self._name}.clip_grad_norm_")
        return clip(arrays, total, max_norm, error_if_nonfinite=error_if_nonfinite)

    def consolidate_state_dict(self, to: int | None = 0) -> None:
        """Bring the state of all shares to rank *to* (None: to every rank), where `state_dict` then returns it.

        Every rank calls it. It holds until the next step.
        """
        mine = held(self._optimizer(), self._numbers_of_shares())
        everyones: list[Any] | None = [None] * self._group.size
        if to is None:
            everyones = gather_objects(mine, self._group)
        else:
            here = self._group.ranks[self._group.rank] == to
            everyones = everyones if here else None
            gather_object(mine, everyones, to, self._group)
        if everyones is not None:
            self._consolidated = {"state": joined(everyones, self._shapes()), "param_groups": self._groups()}

    def state_dict(self) -> dict[str, Any]:
        """Return the state as the unsharded optimizer would, after `consolidate_state_dict` has brought it here.

        RuntimeError before. `Checkpointer` needs neither: each rank writes its own share.
        """
        if self._group.size == 1:
            self.consolidate_state_dict(None)
        if self._consolidated is None:
            raise RuntimeError(
                f"{self._name}.state_dict(): this rank has only its share of the state: let every rank call "
                "consolidate_state_dict(to=rank) after the step, or give the optimizer to dist.Checkpointer"
            )
        self._run_hooks("state_dict_pre")
        found = self._consolidated
        for hook in self._hooks["state_dict"].values():
            found = hook(self, found) or found
        return found

    def sharded_state_dict(self) -> dict[str, Any]:
        """Return what `state_dict` would, with tensors in pieces, of which this rank has its own; every rank calls it."""
        mine = held(self._optimizer(), self._numbers_of_shares())
        everyones = gather_objects(described(mine, self._shapes()), self._group)
        return {"state": in_pieces(everyones, mine, self._group.rank), "param_groups": self._groups()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take this rank's share of what ``state_dict`` of a sharded or whole optimizer returned, of any number of ranks.

        ValueError if it is that of other parameters.
        """
        for hook in self._hooks["load_state_dict_pre"].values():
            state_dict = hook(self, dict(state_dict)) or state_dict
        self._require_that_it_fits(state_dict)
        theirs = [number for group in state_dict["param_groups"] for number in group["params"]]
        ours = [parameter for group in self.param_groups for parameter in group["params"]]
        shares = {
            number: self._shares[parameter]
            for number, parameter in zip(theirs, ours, strict=True)
            if parameter in self._shares
        }
        of_shares = [[n for n in group["params"] if n in shares] for group in state_dict["param_groups"]]
        groups = [
            group | {"params": numbers} for group, numbers in zip(state_dict["param_groups"], of_shares, strict=True)
        ]
        inner = self._optimizer()
        inner.load_state_dict({"state": cut_for(shares, state_dict["state"]), "param_groups": groups})
        self.state, self._consolidated = inner.state, None
        for mine, loaded in zip(self.param_groups, inner.param_groups, strict=True):
            mine.update({name: value for name, value in loaded.items() if name not in ("params", "param_names")})
        self._run_hooks("load_state_dict_post")

    def _optimizer(self) -> Optimizer:
        assert self._inner is not None
        return self._inner

    def _groups(self) -> list[dict[str, Any]]:
        numbers = self._numbers()
        return [group | {"params": [numbers[p] for p in group["params"]]} for group in self.param_groups]

    def _numbers(self) -> dict[Tensor, int]:
        numbers: dict[Tensor, int] = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers.setdefault(parameter, len(numbers))
        return numbers

    def _numbers_of_shares(self) -> dict[Share, int]:
        return {self._shares[p]: number for p, number in self._numbers().items() if p in self._shares}

    def _shapes(self) -> list[tuple[int, ...]]:
        return [tuple(parameter.shape) for parameter in self._numbers()]

    def _require_one_layout(self) -> None:
        if self._group.comm is not None:
            parameters = [(g, p) for g, group in enumerate(self.param_groups) for p in group["params"]]
            layout = [f"parameter of group {g} {p.dtype} {tuple(p.shape)}" for g, p in parameters]
            require_one_layout(self._group, self._name, layout)

    def _require_that_it_fits(self, state: dict[str, Any]) -> None:
        groups = state["param_groups"]
        sizes, expected = ([len(group["params"]) for group in each] for each in (groups, self.param_groups))
        if sizes != expected:
            raise ValueError(
                f"{self._name}: this state is of groups of {sizes} parameters, and the optimizer has groups of "
                f"{expected}: it is that of another model; load the one that belongs to this"
            )
        numbers = [number for group in groups for number in group["params"]]
        for number, shape in zip(numbers, self._shapes(), strict=True):
            for name, value in state["state"].get(number, {}).items():
                if isinstance(value, Tensor) and value.ndim and _is_elementwise(self._class) and value.shape != shape:
                    raise ValueError(
                        f"{self._name}: {name!r} of parameter {number} has shape {tuple(value.shape)} in this state, and "
                        f"the parameter has {shape}: it is that of another model; load the one that belongs to this"
                    )

    def _require_its_ranks(self) -> None:
        if self._given_group is None and current() is not self._group:
            raise RuntimeError(
                f"{self._name}: the world has changed from {self._group.size} ranks to {current().size} since it was "
                "made, and shares of the state are gone: start again from a checkpoint (allgrad run --restarts)"
            )


class ZeroRedundancyOptimizer(ShardedOptimizer):
    """`ShardedOptimizer` with the arguments of torch.distributed.optim.ZeroRedundancyOptimizer.

    >>> import allgrad as torch
    >>> from allgrad import dist
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = dist.ZeroRedundancyOptimizer(model.parameters(), torch.optim.Adam, lr=0.01)
    >>> optimizer.param_groups[0]["lr"]
    0.01
    """

    def __init__(
        self,
        params: Iterable[Any],
        optimizer_class: type[Optimizer],
        process_group: Group | None = None,
        parameters_as_bucket_view: bool = False,
        overlap_with_ddp: bool = False,
        **defaults: Any,
    ) -> None:
        super().__init__(optimizer_class, params, group=process_group, **defaults)


def _is_elementwise(optimizer_class: type[Optimizer]) -> bool:
    """Whether a rule changes every element by itself: unless it takes the parameter out of ``Optimizer.step``'s hands."""
    return optimizer_class.step is Optimizer.step and optimizer_class._change is Optimizer._change


def _part_of_gradient(parameter: Tensor, share: Share) -> Any:
    """Return the part of the gradient of *parameter* that belongs to *share*, in the same memory, or None."""
    gradient = parameter.grad
    if gradient is None:
        return None
    if isinstance(gradient, ScatteredGradient):
        part: Array = gradient.share
    else:
        part = gradient.detach().numpy().reshape(-1)[share.start : share.stop]
    return allgrad.from_numpy(part.reshape(tuple(share.shape)))
