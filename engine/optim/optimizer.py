"""Optimizer: parameters in groups with their options, and the state a rule keeps for each of them."""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import numpy as np

from ..tape.mode import enable_grad, no_grad
from ..tape.nodes import Handle
from ..tape.provenance import caller
from ..tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
Group = dict[str, Any]
Parameters = Iterable[Tensor] | Iterable[Group] | Iterable[tuple[str, Tensor]]

_PIECE = 1 << 15  # elements; six arrays of so many float32 fit into a core's second cache

# Options of PyTorch that choose among its implementations; they are accepted, kept in the groups and change nothing.
IMPLEMENTATION_OPTIONS = {"foreach": None, "capturable": False, "differentiable": False, "fused": None}


class Optimizer:
    """Changes parameters by their gradients: a subclass states the rule for one parameter in ``update``.

    A subclass of one's own may define ``step`` instead, as in PyTorch.

    Args:
        params: parameters, (name, parameter) pairs, or dicts with a list of them as "params" and options of their own.
        defaults: the options of groups that do not state them.

    Raises:
        TypeError: *params* is a single tensor, or holds something that is no tensor.
        ValueError: *params* is empty, holds a non-leaf, or a parameter is in two groups.
    """

    def __init__(self, params: Parameters, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{type(params).__name__}: put it in a list"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        self._opt_called = False  # a learning-rate scheduler warns if it is stepped before this is
        self._hooks: dict[str, dict[int, Callable[..., Any]]] = defaultdict(dict)
        self._scratch: dict[tuple[Any, int], Array] = {}
        listed: list[Any] = list(params)
        if not listed:
            raise ValueError("optimizer got an empty parameter list")
        for group in listed if isinstance(listed[0], dict) else [{"params": listed}]:
            self.add_param_group(group)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "step" in cls.__dict__:
            cls.step = _with_hooks(cls.step)  # type: ignore[method-assign]

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with options of their own, for instance when frozen layers are to be trained too."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        given = param_group["params"]
        if isinstance(given, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in "
                "sets will change between runs. Please use a list instead."
            )
        listed = [given] if isinstance(given, Tensor) else list(given)
        group = dict(param_group)
        if listed and isinstance(listed[0], tuple):
            group["param_names"] = [name for name, _ in listed]
            listed = [parameter for _, parameter in listed]
        group["params"] = listed
        self._check(listed)
        self.param_groups.append(group | {k: v for k, v in self.defaults.items() if k not in group})

    def _check(self, listed: list[Any]) -> None:
        for parameter in listed:
            if not isinstance(parameter, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(parameter).__name__}"
                )
            if not parameter.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        if len(listed) != len(set(listed)):
            warnings.warn("optimizer contains a parameter group with duplicate parameters", stacklevel=5)
        known = {parameter for group in self.param_groups for parameter in group["params"]}
        if not known.isdisjoint(listed):
            raise ValueError("some parameters appear in more than one parameter group")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient once; return what *closure*, which is called first, returns.

        *closure* computes the loss anew and calls ``backward``.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        place = caller()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter._grad is not None:
                    self._change(parameter, group)
                    parameter._counter_or_new().bump(place)
        return loss

    def _change(self, parameter: Tensor, group: Group) -> None:
        """Apply the rule to one parameter, piece by piece if it is large, so that the pieces stay in the cache."""
        state = self.state[parameter]
        options = self.prepare(parameter, state, group)
        assert parameter._grad is not None
        values, gradient = parameter._array, parameter._grad._array
        beside = {name: kept._array for name, kept in state.items() if isinstance(kept, Tensor)}
        if values.dtype.kind == "c":
            values, gradient = parts(values), parts(gradient)
            beside = {name: parts(array) if array.dtype.kind == "c" else array for name, array in beside.items()}
        if values.size <= _PIECE or not all(array.flags.c_contiguous for array in (values, gradient, *beside.values())):
            self.update(values, gradient, beside, options)
            return
        values, gradient = values.reshape(-1), gradient.reshape(-1)
        beside = {name: array.reshape(-1) for name, array in beside.items() if array.size == values.size}
        for start in range(0, values.size, _PIECE):
            piece = slice(start, start + _PIECE)
            self.update(values[piece], gradient[piece], {k: array[piece] for k, array in beside.items()}, options)

    def prepare(self, parameter: Tensor, state: dict[str, Any], group: Group) -> Any:
        """Make or advance the state of *parameter* before a step, and return what ``update`` is to be told."""
        return group

    def update(self, values: Array, gradient: Array, state: dict[str, Array], options: Any) -> None:
        """Change *values*, a parameter or a piece of one, and the parts of *state* beside it; *gradient* stays as it is.

        *options* is what ``prepare`` returned: the parameter's group, unless it is overridden.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither update nor step")

    def scratch(self, like: Array, slot: int) -> Array:
        """Return memory of the shape and dtype of *like* that is free until the next piece; *slot* tells several."""
        key = (like.dtype, slot)
        memory = self._scratch.get(key)
        if memory is None or memory.size < like.size:
            memory = self._scratch[key] = np.empty(like.size, like.dtype)
        return memory[: like.size].reshape(like.shape)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of all parameters to None or, if not *set_to_none*, to zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter._grad = None
                elif parameter._grad is not None:
                    with no_grad():
                        parameter._grad = parameter._grad.detach()
                        parameter._grad.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the groups with parameters numbered in order: what ``allgrad.save`` stores."""
        self._run_hooks("state_dict_pre")
        numbers: dict[Tensor, int] = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers.setdefault(parameter, len(numbers))
        found = {
            "state": {numbers.get(key, key): value for key, value in self.state.items() if value},
            "param_groups": [g | {"params": [numbers[p] for p in g["params"]]} for g in self.param_groups],
        }
        for hook in self._hooks["state_dict"].values():
            found = hook(self, found) or found
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back a copy of what ``state_dict`` returned, for as many parameters in the same order.

        ValueError if the groups are of another number or size.
        """
        for hook in self._hooks["load_state_dict_pre"].values():
            state_dict = hook(self, dict(state_dict)) or state_dict
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"expected {len(self.param_groups)}, found {len(saved)}"
            )
        owners: dict[int, Tensor] = {}
        for ours, theirs in zip(self.param_groups, saved, strict=True):
            if len(ours["params"]) != len(theirs["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
                    f"expected {len(ours['params'])}, found {len(theirs['params'])}"
                )
            owners.update(zip(theirs["params"], ours["params"], strict=True))
        self.state = defaultdict(dict)
        for number, state in state_dict["state"].items():
            owner = owners.get(number, number)
            self.state[owner] = {name: _fitting(name, value, owner) for name, value in state.items()}
        names = [g.get("param_names") for g in self.param_groups]
        self.param_groups = [
            deepcopy({k: v for k, v in theirs.items() if k != "params"}) | {"params": ours["params"]}
            for ours, theirs in zip(self.param_groups, saved, strict=True)
        ]
        for group, kept in zip(self.param_groups, names, strict=True):
            group.update({} if kept is None else {"param_names": kept})
            group.update({k: v for k, v in self.defaults.items() if k not in group})
        self._run_hooks("load_state_dict_post")

    def _run_hooks(self, kind: str) -> None:
        for hook in self._hooks[kind].values():
            hook(self)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(optimizer, args, kwargs)`` before every step; it returns None or new (args, kwargs)."""
        return Handle(self._hooks["step_pre"], hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(optimizer, args, kwargs)`` after every step."""
        return Handle(self._hooks["step_post"], hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(optimizer)`` before ``state_dict``."""
        return Handle(self._hooks["state_dict_pre"], hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(optimizer, state_dict)`` after ``state_dict``; what it returns replaces the result."""
        return Handle(self._hooks["state_dict"], hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(optimizer, state_dict)`` before loading; what it returns is loaded instead."""
        return Handle(self._hooks["load_state_dict_pre"], hook)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(optimizer)`` after loading."""
        return Handle(self._hooks["load_state_dict_post"], hook)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _opt_called=False, _hooks=defaultdict(dict), _scratch={})

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join(lines) + "\n)"


def _with_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return *step* with the optimizer's hooks around it."""
    if hasattr(step, "__hooked__"):
        return step

    @functools.wraps(step)
    def hooked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        for hook in self._hooks["step_pre"].values():
            changed = hook(self, args, kwargs)
            if changed is not None:
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise RuntimeError(
                        f"{hook} must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                    )
                args, kwargs = changed
        result = step(self, *args, **kwargs)
        for hook in self._hooks["step_post"].values():
            hook(self, args, kwargs)
        self._opt_called = True
        return result

    hooked.__hooked__ = True  # type: ignore[attr-defined]
    return hooked


Optimizer.step = _with_hooks(Optimizer.step)  # type: ignore[method-assign]


def _fitting(name: str, value: Any, owner: Any) -> Any:
    """Return a copy of a saved state value, of the parameter's dtype unless it is the step count."""
    if isinstance(value, Tensor):
        copy = value.detach().clone()
        if name != "step" and isinstance(owner, Tensor) and owner.is_floating_point():
            return copy.to(owner.dtype)
        return copy
    return deepcopy(value)


def parts(array: Array) -> Array:
    """Return a view of a complex array as (…, 2) real ones: rules treat the parts as numbers of their own."""
    return np.lib.stride_tricks.as_strided(array.real, (*array.shape, 2), (*array.strides, array.itemsize // 2))


def check_at_least_zero(**options: float) -> None:
    """ValueError for an option that is negative, by PyTorch's words."""
    titles = {"lr": "learning rate", "eps": "epsilon value", "momentum": "momentum value", "alpha": "alpha value",
              "weight_decay": "weight_decay value", "lr_decay": "lr_decay value",
              "momentum_decay": "momentum_decay value",
              "initial_accumulator_value": "initial_accumulator_value value"}  # fmt: skip
    for name, value in options.items():
        if not float(value) >= 0.0:
            raise ValueError(f"Invalid {titles[name]}: {value}")


def check_betas(betas: tuple[float, float]) -> None:
    """ValueError for betas that are not in [0, 1)."""
    for index, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def descent(values: Array, gradient: Array, options: Any) -> Array:
    """Return the gradient turned round to maximize and with the weight decay in it, or take that from *values*."""
    if options["maximize"]:
        gradient = -gradient
    decay = options["weight_decay"]
    if decay and options.get("decoupled_weight_decay"):
        values *= 1 - options["lr"] * decay
    elif decay:
        gradient = gradient + decay * values
    return gradient


def zeros_beside(parameter: Tensor) -> Tensor:
    """Return a tensor of zeros to keep beside a parameter."""
    return Tensor._wrap(np.zeros(parameter._array.shape, parameter._array.dtype))


def step_count() -> Tensor:
    """Return the count of steps as PyTorch keeps it: a 0-d float32 tensor."""
    return Tensor._wrap(np.zeros((), np.float32))
