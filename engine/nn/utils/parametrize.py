"""Parametrizations: a weight computed from others by a module, each time it is read."""

from __future__ import annotations

import copyreg
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

from ...tape.mode import no_grad
from ...tensors.parameter import Parameter
from ...tensors.tensor import Tensor
from ..containers import ModuleDict, ModuleList
from ..module import Module

M = TypeVar("M", bound=Module)


class _Cache:
    """Weights that were computed inside ``cached``, by module and name."""

    depth = 0
    values: dict[tuple[int, str], Tensor]

    def __init__(self) -> None:
        self.values = {}

    def weight(self, module: Module, name: str) -> Tensor:
        """Return the weight *name* of *module*, computed once while the cache is on."""
        if not self.depth:
            return module.parametrizations[name]()  # type: ignore[no-any-return]
        key = id(module), name
        if key not in self.values:
            self.values[key] = module.parametrizations[name]()
        return self.values[key]


_cache = _Cache()


@contextmanager
def cached() -> Iterator[None]:
    """Inside ``with cached():`` every parametrized weight is computed once, when it is first read.

    For weights that are read several times, as those of a recurrent network. A weight that is assigned to inside keeps
    what the cache holds.

    Example:
        >>> import allgrad as torch
        >>> from allgrad.nn.utils import parametrizations, parametrize
        >>> layer = parametrizations.weight_norm(torch.nn.Linear(2, 2))
        >>> layer.weight is layer.weight
        False
        >>> with parametrize.cached():
        ...     layer.weight is layer.weight
        True
    """
    _cache.depth += 1
    try:
        yield
    finally:
        _cache.depth -= 1
        if not _cache.depth:
            _cache.values.clear()


class ParametrizationList(ModuleList):
    """The parametrizations of one weight, applied one after the other to ``original`` (or ``original0``, ``original1`` …).

    Args:
        modules: the parametrizations; those with a ``right_inverse`` turn the present weight into the originals.
        original: the weight as it is.
        unsafe: do not check that shape and dtype stay as they were.

    Raises:
        ValueError: no parametrization, or one that changes the shape or the dtype.
    """

    original: Tensor

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        with no_grad():
            value: Any = original
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    value = _inverse_if_there_is_one(module, value)
        if not isinstance(value, Tensor | Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(value).__name__}"
            )
        self.is_tensor = isinstance(value, Tensor)
        self.ntensors = 1 if isinstance(value, Tensor) else len(value)
        if isinstance(value, Tensor):
            self._keep_one(original, value)
        else:
            self._keep_several(original, value)
        if not unsafe:
            _check_unchanged(self(), dtype, shape, "unparametrized {}: {}\nparametrized {}: {}")

    def _keep_one(self, original: Tensor, value: Tensor) -> None:
        if original.dtype != value.dtype:
            raise ValueError(
                "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {value.dtype}"
            )
        original.data = value.detach()
        _register(self, "original", original)

    def _keep_several(self, original: Tensor, values: Sequence[Tensor]) -> None:
        for index, value in enumerate(values):
            if not isinstance(value, Tensor):
                raise ValueError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                    f"Got element {index} of the sequence with type {type(value).__name__}."
                )
            is_parameter = isinstance(original, Parameter)
            kept = Parameter(value, original.requires_grad) if is_parameter else value
            kept.requires_grad_(original.requires_grad)
            _register(self, f"original{index}", kept)

    def _originals(self) -> list[Tensor]:
        names = ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]
        return [getattr(self, name) for name in names]

    def right_inverse(self, value: Any) -> None:
        """Set the originals such that the weight becomes *value*: what an assignment to the weight does.

        RuntimeError if a parametrization has no ``right_inverse``.
        """
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                value = module.right_inverse(value)
        if self.is_tensor and not isinstance(value, Tensor):
            raise ValueError(f"`right_inverse` should return a tensor. Got {type(value).__name__}")
        values = [value] if self.is_tensor else value
        if not isinstance(values, Sequence) or len(values) != self.ntensors:
            found = f"length {len(values)}" if isinstance(values, Sequence) else type(values).__name__
            raise ValueError(
                f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. Got {found}."
            )
        for index, (original, new) in enumerate(zip(self._originals(), values, strict=True)):
            if not isinstance(new, Tensor) or original.dtype != new.dtype:
                name = "original" if self.is_tensor else f"original{index}"
                raise ValueError(
                    f"The tensor {index} returned by `right_inverse` has dtype {getattr(new, 'dtype', type(new))} "
                    f"while `{name}` has dtype {original.dtype}"
                )
            original.data = new.detach()

    def forward(self) -> Any:
        """Return the weight."""
        first, *others = self
        value = first(*self._originals())
        for module in others:
            value = module(value)
        return value


def _inverse_if_there_is_one(module: Module, value: Any) -> Any:
    try:
        return module.right_inverse(value)
    except NotImplementedError:
        return value


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _check_unchanged(found: Any, dtype: Any, shape: Any, words: str) -> None:
    if not isinstance(found, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(found).__name__}.")
    for kind, before, now in (("dtype", dtype, found.dtype), ("shape", shape, found.shape)):
        if before != now:
            raise ValueError(
                f"Registering a parametrization may not change the {kind} of the tensor, unless `unsafe` flag is "
                "enabled.\n" + words.format(kind, before, kind, now)
            )


def _parametrized_class(kind: type[Module]) -> type[Module]:
    """Return a subclass of *kind* for one module, which gets a property for every parametrized weight."""

    def copy(self: Any, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            replica = memo[id(self)] = self.__new__(self.__class__)
            replica.__dict__ = deepcopy(self.__dict__, memo)
            for slot in copyreg._slotnames(self.__class__):  # type: ignore[attr-defined]
                if hasattr(self, slot):
                    setattr(replica, slot, deepcopy(getattr(self, slot), memo))
        return memo[id(self)]

    def refuse(self: Any) -> Any:
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(): save that, and load it into "
            "a module with the same parametrizations"
        )

    own: dict[str, Any] = {"__getstate__": refuse, "_unparametrized": kind}
    if not hasattr(kind, "__deepcopy__"):
        own["__deepcopy__"] = copy
    return type(f"Parametrized{kind.__name__}", (kind,), own)


def _weight_property(name: str) -> property:
    def read(module: Module) -> Tensor:
        return _cache.weight(module, name)

    def write(module: Module, value: Tensor) -> None:
        module.parametrizations[name].right_inverse(value)

    return property(read, write)


def register_parametrization(module: M, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> M:
    """Let ``module.tensor_name`` be what *parametrization* makes of the parameter or buffer of that name.

    The tensor itself moves to ``module.parametrizations.tensor_name.original``; several parametrizations are applied
    one after the other. With a ``right_inverse`` one can assign to the weight.

    Args:
        module: gets a class of its own, a subclass of the one it has.
        tensor_name: of a parameter or buffer.
        parametrization: a module from a tensor to a tensor of the same shape and dtype; from several if its
            ``right_inverse`` returns several.
        unsafe: do not check shape and dtype.

    Raises:
        ValueError: there is no such tensor, or shape or dtype would change.

    Example:
        >>> import allgrad as torch
        >>> class Symmetric(torch.nn.Module):
        ...     def forward(self, x):
        ...         return x.triu() + x.triu(1).T
        >>> layer = torch.nn.Linear(3, 3)
        >>> _ = torch.nn.utils.parametrize.register_parametrization(layer, "weight", Symmetric())
        >>> torch.equal(layer.weight, layer.weight.T)
        True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            before = getattr(module, tensor_name)
            words = f"module.{tensor_name}.{{}}: {{}}\nparametrization(module.{tensor_name}).{{}}: {{}}"
            _check_unchanged(parametrization(before), before.dtype, before.shape, words)
        module.parametrizations[tensor_name].append(parametrization)
        module.parametrizations[tensor_name].unsafe |= unsafe
        return module
    if tensor_name not in module._buffers and tensor_name not in module._parameters:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name '{tensor_name}'"
        )
    parametrizations = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe=unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        module.__class__ = _parametrized_class(type(module))  # type: ignore[assignment]
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _weight_property(tensor_name))
    module.parametrizations[tensor_name] = parametrizations
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Return whether *module* has a parametrization, of *tensor_name* if given."""
    found = getattr(module, "parametrizations", None)
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def remove_parametrizations(module: M, tensor_name: str, leave_parametrized: bool = True) -> M:
    """Make the weight an ordinary parameter or buffer again.

    It keeps its present value if *leave_parametrized*, else it gets back the original. ValueError if it is not
    parametrized, or if the original is wanted and there are several.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    parametrizations = module.parametrizations[tensor_name]
    if not parametrizations.is_tensor and not leave_parametrized:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    value = getattr(module, tensor_name)
    if parametrizations.is_tensor:
        kept = parametrizations.original
        if leave_parametrized:
            kept.data = value.detach()
    else:
        kept = Parameter(value.detach()) if value.requires_grad else value
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type_before_parametrizations(module)  # type: ignore[assignment]
    _register(module, tensor_name, kept)
    return module


def type_before_parametrizations(module: Module) -> type[Module]:
    """Return the class that *module* had before its weights were parametrized."""
    return vars(type(module)).get("_unparametrized", type(module))  # type: ignore[no-any-return]


def transfer_parametrizations_and_params(from_module: Module, to_module: M, tensor_name: str | None = None) -> M:
    """Give *to_module* the parametrizations of *from_module*, of *tensor_name* only if given, with their originals."""
    if not is_parametrized(from_module):
        return to_module
    for name in list(from_module.parametrizations.keys()) if tensor_name is None else [tensor_name]:
        theirs = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        for parametrization in theirs:
            register_parametrization(to_module, name, parametrization)
        ours = to_module.parametrizations[name]
        for original in ["original"] if theirs.is_tensor else [f"original{i}" for i in range(theirs.ntensors)]:
            setattr(ours, original, getattr(theirs, original))
    return to_module
