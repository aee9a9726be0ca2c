"""Module: what every part of a network is, with its parameters, buffers, children and hooks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from .. import devices, dtypes
from ..tape.module_calls import note_call
from ..tape.version import tick
from ..tensors.buffer import Buffer
from ..tensors.parameter import Parameter
from ..tensors.tensor import Tensor
from . import state
from .hooks import Hooked, call_with_hooks, global_hooks
from .location import locate


class Module(Hooked):
    """A part of a network: subclasses assign parameters and other modules in ``__init__`` and define ``forward``.

    Calling a module runs ``forward`` and its hooks. An error inside is led by the module's path, such as
    ``Net.encoder.2 (Linear 9→2)``.

    Example:
        >>> import allgrad as torch
        >>> class Scale(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.factor = torch.nn.Parameter(torch.tensor(2.0))
        ...     def forward(self, x):
        ...         return x * self.factor
        >>> Scale()(torch.ones(2))
        tensor([2., 2.], grad_fn=<MulBackward0>)
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]

    def __init__(self) -> None:
        fresh = self.__dict__
        fresh["training"] = True
        fresh["_parameters"], fresh["_buffers"], fresh["_modules"] = {}, {}, {}
        fresh["_non_persistent_buffers_set"] = set()
        for name in ("forward_pre", "forward", "backward_pre", "backward", *state.HOOKS):
            fresh[f"_{name}_hooks"] = OrderedDict()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's output: every subclass defines it. NotImplementedError otherwise."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        start = tick()
        try:
            if (
                self._forward_pre_hooks or self._forward_hooks or self._backward_hooks or self._backward_pre_hooks
                or global_hooks
            ):  # fmt: skip
                result = call_with_hooks(self, args, kwargs)
            else:
                result = self.forward(*args, **kwargs)
        except Exception as error:
            locate(self, error)
            raise
        note_call(self, start)
        return result

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make *param* (or None, for one that is absent) a parameter of this module, as assigning it does.

        TypeError for anything else, KeyError for a name that is taken, empty or has a dot.
        """
        self._check_name("parameter", name, self._parameters)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{_typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None required)"
            )
        if param is not None and param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. "
                "To express one as a function of another Tensor, compute the value in the forward() method."
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Make *tensor* part of the module's state that is not trained; *persistent*: also of its ``state_dict``."""
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = tensor
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Make *module* a child of this one, as assigning it does."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{_typename(module)} is not a Module subclass")
        self._check_name("module", name, self._modules)
        self._modules[name] = module

    register_module = add_module

    def _check_name(self, kind: str, name: str, own: Mapping[str, Any]) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call: begin with super().__init__()")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {_typename(name)}")
        if "." in name or not name:
            fault = 'can\'t contain "."' if name else 'can\'t be empty string ""'
            raise KeyError(f"{kind} name {fault}, got: {name!r}")
        if hasattr(self, name) and name not in own:
            raise KeyError(f"attribute '{name}' already exists")

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__
        for kind in ("_parameters", "_buffers", "_modules"):
            if kind in own and name in own[kind]:
                return own[kind][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        kinds = {
            "parameter": own.get("_parameters"),
            "child module": own.get("_modules"),
            "buffer": own.get("_buffers"),
        }
        if isinstance(value, Parameter):
            if kinds["parameter"] is None:
                raise AttributeError(
                    "cannot assign parameters before Module.__init__() call: begin with super().__init__()"
                )
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if kinds["child module"] is None:
                raise AttributeError(
                    "cannot assign module before Module.__init__() call: begin with super().__init__()"
                )
            self._forget(name, "_modules")
            self._modules[name] = value
        elif isinstance(value, Buffer):
            if kinds["buffer"] is None:
                raise AttributeError(
                    "cannot assign buffers before Module.__init__() call: begin with super().__init__()"
                )
            self._forget(name, "_buffers")
            self.register_buffer(name, value, value.persistent)
        else:
            for kind, held in kinds.items():
                if held is not None and name in held:
                    if value is not None and not (kind == "buffer" and isinstance(value, Tensor)):
                        raise TypeError(_wrong_value(value, kind, name))
                    held[name] = value
                    return
            object.__setattr__(self, name, value)

    def _forget(self, name: str, new_kind: str) -> None:
        """Take *name* away from every kind of attribute but *new_kind*, which it is about to be."""
        own = self.__dict__
        own.pop(name, None)
        for kind in ("_parameters", "_buffers", "_modules"):
            if kind != new_kind and kind in own:
                own[kind].pop(name, None)
        if "_non_persistent_buffers_set" in own:
            self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        for held in (self._parameters, self._buffers, self._modules):
            if name in held:
                del held[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[0].isdigit())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Yield (path, module) for this module and all below it, each once unless *remove_duplicate* is False."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """Yield this module and all below it."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) for the modules directly below this one."""
        seen: set[Module] = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """Yield the modules directly below this one."""
        return (child for _, child in self.named_children())

    def _named_members(self, kind: str, prefix: str, recurse: bool, unique: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=unique) if recurse else iter([(prefix, self)])
        for path, module in modules:
            for name, member in getattr(module, kind).items():
                if member is None or id(member) in seen:
                    continue
                if unique:
                    seen.add(id(member))
                yield f"{path}.{name}" if path else name, member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield (path, parameter) for this module's and, if *recurse*, all lower parameters, tied ones once."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters of this module and, if *recurse*, of all below it: what an optimizer wants."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (path, buffer) for this module's and, if *recurse*, all lower buffers."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers of this module and, if *recurse*, of all below it."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """Return the module at the path *target*, such as ``"encoder.0"``. AttributeError if there is none."""
        module: Module = self
        for name in target.split(".") if target else []:
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter at the path *target*. AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._parameters.get(name)
        if found is None:
            raise AttributeError(f"`{target}` is not an nn.Parameter of {type(self).__name__}")
        return found

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer at the path *target*. AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path)._buffers.get(name)
        if found is None:
            raise AttributeError(f"`{target}` is not a buffer of {type(self).__name__}")
        return found

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn(module)`` on every module below and then on this one, which is returned."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def _apply(self, convert: Callable[[Tensor], Tensor]) -> Self:
        """Replace the memory of every parameter, gradient and buffer by its converted values."""
        for module in self.modules():
            for parameter in module._parameters.values():
                if parameter is not None:
                    grad, parameter.grad = parameter.grad, None
                    parameter.data = convert(parameter.data)
                    parameter.grad = None if grad is None else convert(grad.detach())
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = convert(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert the floating-point parameters and buffers to a dtype, in place; devices other than the CPU raise.

        Takes ``to(dtype)``, ``to(device)``, ``to(device, dtype)`` or ``to(tensor)``, and returns this module.
        """
        target: dtypes.dtype | None = kwargs.pop("dtype", None)
        for value in (*args, kwargs.pop("device", None)):
            if isinstance(value, Tensor):
                target = value.dtype
            elif isinstance(value, dtypes.dtype):
                target = value
            elif value is not None and not isinstance(value, bool):
                devices.device(value)
        if target is None:
            return self
        if not (target.is_floating_point or target.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={target}"
            )
        wanted = target
        return self._apply(lambda t: t.to(wanted) if t.is_floating_point() or t.is_complex() else t)

    def float(self) -> Self:
        """Convert floating-point parameters and buffers to float32, in place."""
        return self.to(dtypes.float32)

    def double(self) -> Self:
        """Convert floating-point parameters and buffers to float64, in place."""
        return self.to(dtypes.float64)

    def half(self) -> Self:
        """Convert floating-point parameters and buffers to float16, in place."""
        return self.to(dtypes.float16)

    def type(self, dst_type: dtypes.dtype) -> Self:
        """Convert all parameters and buffers to *dst_type*, in place."""
        return self._apply(lambda t: t.to(dst_type))

    def cpu(self) -> Self:
        """Return this module: it is on the CPU already."""
        return self

    def cuda(self, device: Any = None) -> Self:
        """RuntimeError: there is no accelerator."""
        devices.device("cuda")
        return self

    def train(self, mode: bool = True) -> Self:
        """Let this module and all below it behave as in training (*mode* True) or as in use; return it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Let this module and all below it behave as in use: no dropout, running statistics. Return it."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let all parameters be trained, or freeze them; return this module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of all parameters to None or, if not *set_to_none*, to zeros."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad = None if set_to_none else parameter.grad.detach().zero_()

    def share_memory(self) -> Self:
        """Return this module; NumPy memory is shared with forked processes copy-on-write."""
        return self

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Return parameters and persistent buffers by path, sharing memory: what ``allgrad.save`` stores.

        They are detached unless *keep_vars*; *prefix* leads every name.
        """
        return state.collect(self, destination, prefix, keep_vars)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> state.IncompatibleKeys:
        """Copy values by path into parameters and buffers, or with *assign* put the tensors themselves in place.

        Returns the missing and the unexpected keys. RuntimeError if there are any and *strict*, or shapes differ.
        """
        return state.restore(self, state_dict, strict=strict, assign=assign)

    def get_extra_state(self) -> Any:
        """Return what a subclass wants in its ``state_dict`` besides tensors; that subclass overrides it."""
        raise RuntimeError("a subclass that has extra state defines get_extra_state and set_extra_state")

    def set_extra_state(self, state: Any) -> None:
        """Take back what ``get_extra_state`` returned."""
        raise RuntimeError("a subclass that has extra state defines get_extra_state and set_extra_state")

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """Return what stands between the brackets of the printed form besides the children."""
        return ""

    def summary(self) -> str:
        """Return the short form used in errors, such as ``Linear 9→2``."""
        return self._get_name()

    def __repr__(self) -> str:
        extra = self.extra_repr().split("\n") if self.extra_repr() else []
        children = [
            f"({name}): {repr(child).replace(chr(10), chr(10) + '  ')}" for name, child in self._modules.items()
        ]
        if not children and len(extra) <= 1:
            return f"{self._get_name()}({''.join(extra)})"
        return f"{self._get_name()}(\n  " + "\n  ".join(extra + children) + "\n)"


def _typename(value: object) -> str:
    kind = type(value)
    if isinstance(value, Tensor):
        return f"torch.{kind.__name__}"
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _wrong_value(value: object, kind: str, name: str) -> str:
    wanted = {"parameter": "torch.nn.Parameter", "child module": "torch.nn.Module", "buffer": "torch.Tensor"}[kind]
    return f"cannot assign '{_typename(value)}' as {kind} '{name}' ({wanted} or None expected)"
