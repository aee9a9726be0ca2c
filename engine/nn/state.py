"""A module's state as a flat dict of tensors: collecting it, and loading it back with PyTorch's checks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..tape.mode import no_grad
from ..tensors.parameter import Parameter
from ..tensors.tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

HOOKS = ("state_dict_pre", "state_dict", "load_state_dict_pre", "load_state_dict_post")
_EXTRA = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """The keys a module has and the loaded state lacks, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class _StateDict(OrderedDict[str, Any]):
    """Only for type checkers: an OrderedDict that carries PyTorch's metadata."""

    _metadata: OrderedDict[str, dict[str, Any]]


def collect(module: Module, destination: dict[str, Any] | None, prefix: str, keep_vars: bool) -> dict[str, Any]:
    """Return the state of *module* and all below it, put into *destination* if there is one."""
    found: Any = destination
    if found is None:
        found = OrderedDict()
        found._metadata = OrderedDict()
    metadata = {"version": getattr(module, "_version", 1)}
    if hasattr(found, "_metadata"):
        found._metadata[prefix[:-1]] = metadata
    for hook in module._state_dict_pre_hooks.values():
        hook.function(module, prefix, keep_vars)
    for name, tensor in _own_state(module).items():
        found[prefix + name] = tensor if keep_vars else tensor.detach()
    if _has_extra_state(module):
        found[prefix + _EXTRA] = module.get_extra_state()
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(destination=found, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    for hook in module._state_dict_hooks.values():
        if hook.function(module, found, prefix, metadata) is not None:
            raise RuntimeError("state_dict post-hook must return None")
    return found  # type: ignore[no-any-return]


def _own_state(module: Module) -> dict[str, Tensor]:
    persistent = {k: v for k, v in module._buffers.items() if k not in module._non_persistent_buffers_set}
    return {k: v for k, v in (*module._parameters.items(), *persistent.items()) if v is not None}


def _has_extra_state(module: Module) -> bool:
    from .module import Module

    return type(module).get_extra_state is not Module.get_extra_state


def restore(module: Module, given: Mapping[str, Any], *, strict: bool, assign: bool) -> IncompatibleKeys:
    """Load *given* into *module* and all below it.

    Raises:
        TypeError: *given* is no mapping.
        RuntimeError: shapes differ or, if *strict*, keys do; the message lists them all.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(given)}.")
    loading = _Loading(OrderedDict(given), getattr(given, "_metadata", {}), assign)
    loading.visit(module, "")
    problems = loading.problems
    if strict:
        for title, keys in (("Missing", loading.keys.missing_keys), ("Unexpected", loading.keys.unexpected_keys)):
            if keys:
                listed = ", ".join(f'"{key}"' for key in keys)
                problems.insert(int(title == "Unexpected" and bool(loading.keys.missing_keys)),
                                f"{title} key(s) in state_dict: {listed}. ")  # fmt: skip
    if problems:
        raise RuntimeError(
            "Error(s) in loading state_dict for {}:\n\t{}".format(type(module).__name__, "\n\t".join(problems))
        )
    return loading.keys


class _Loading:
    """One run of ``load_state_dict``: what is given, and what was found wrong with it."""

    def __init__(self, given: dict[str, Any], metadata: Mapping[str, Any], assign: bool) -> None:
        self.given = given
        self.metadata = metadata
        self.assign = assign
        self.keys = IncompatibleKeys([], [])
        self.problems: list[str] = []

    def visit(self, module: Module, prefix: str) -> None:
        """Load into *module*, whose names begin with *prefix*, and into its children."""
        metadata = dict(self.metadata.get(prefix[:-1], {}))
        for hook in module._load_state_dict_pre_hooks.values():
            hook.function(module, self.given, prefix, metadata, True, *self.keys, self.problems)
        for name, tensor in _own_state(module).items():
            if prefix + name in self.given:
                self._load(module, name, prefix + name, tensor)
            else:
                self.keys.missing_keys.append(prefix + name)
        if _has_extra_state(module):
            if prefix + _EXTRA in self.given:
                module.set_extra_state(self.given[prefix + _EXTRA])
            else:
                self.keys.missing_keys.append(prefix + _EXTRA)
        self._note_unexpected(module, prefix)
        for name, child in module._modules.items():
            if child is not None:
                self.visit(child, f"{prefix}{name}.")
        for hook in module._load_state_dict_post_hooks.values():
            if hook.function(module, self.keys) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new "
                    "values, if incompatible_keys need to be modified, it should be done inplace."
                )

    def _note_unexpected(self, module: Module, prefix: str) -> None:
        own = _own_state(module)
        for key in self.given:
            if not key.startswith(prefix) or (key == prefix + _EXTRA and _has_extra_state(module)):
                continue
            name, dot, _ = key[len(prefix) :].partition(".")
            if name not in (module._modules if dot else own):
                self.keys.unexpected_keys.append(key)

    def _load(self, module: Module, name: str, key: str, tensor: Tensor) -> None:
        value = self.given[key]
        if not isinstance(value, Tensor):
            self.problems.append(
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from '
                f"checkpoint but received {type(value)}"
            )
            return
        if not tensor.ndim and value.shape == (1,):  # older checkpoints have scalars as one element
            value = value[0]
        if value.shape != tensor.shape:
            self.problems.append(
                f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, "
                f"the shape in current model is {tensor.shape}."
            )
        elif not self.assign:
            with no_grad():
                tensor.copy_(value)
        elif isinstance(tensor, Parameter):
            if not isinstance(value, Parameter):
                value = Parameter(value, tensor.requires_grad)
            setattr(module, name, value.requires_grad_(tensor.requires_grad))
        else:
            setattr(module, name, value)
