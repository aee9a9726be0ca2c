"""Lazy modules, which learn the size of their input from the first one and become the ordinary modules then."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .. import dtypes
from ..operations.geometry import Size
from ..tensors.parameter import Parameter
from ..tensors.tensor import Tensor
from .convolution import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, _Convolution
from .group_norms import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from .linear import Linear
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d, _BatchNorm


class _Uninitialized(Tensor):
    """What a parameter and a buffer share whose shape is not known yet."""

    __slots__ = ()
    _becomes: ClassVar[type[Tensor]]

    @property
    def shape(self) -> Any:
        """Not known yet: RuntimeError."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized module. Call "
            "`forward` to initialize the parameters before accessing their attributes."
        )

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary one of *shape*, with values still to be written."""
        kind = self.dtype if dtype is None else dtypes.as_dtype(dtype)
        self._array = np.empty(tuple(shape), kind.numpy)
        self.__class__ = self._becomes  # type: ignore[assignment]

    def detach(self) -> Any:
        """Return itself: there is nothing to share yet."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        found = memo.get(id(self))
        if found is None:
            found = memo[id(self)] = type(self)(self.requires_grad, dtype=self.dtype)  # type: ignore[call-arg]
        return found

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def _nothing(dtype: Any) -> Tensor:
    kind = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    return Tensor._wrap(np.empty(0, kind.numpy))


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter whose shape is not known yet, until ``materialize(shape)``. Asking for its shape: RuntimeError."""

    __slots__ = ()
    _becomes = Parameter

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        Parameter.__init__(self, _nothing(dtype), requires_grad)


class UninitializedBuffer(_Uninitialized):
    """A buffer whose shape is not known yet, until ``materialize(shape)``. Asking for its shape: RuntimeError."""

    __slots__ = ()
    _becomes = Tensor

    def __init__(self, requires_grad: bool = False, device: Any = None, dtype: Any = None) -> None:
        self._array = _nothing(dtype)._array
        self._node = self._grad = self._counter = self._view = None


class _Lazy(Module):
    """Beside an ordinary module: holds its parameters back until the first call."""

    cls_to_become: ClassVar[type[Module]]
    learned: ClassVar[str]  # the attribute that the first input tells; 0 until then

    def _wait(self) -> None:
        """Forget the shapes of parameters and statistics, which the constructor made for an input of size 0."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                self._parameters[name] = UninitializedParameter(dtype=parameter.dtype)
        for name, buffer in self._buffers.items():
            if buffer is not None and buffer.ndim:
                self._buffers[name] = UninitializedBuffer(dtype=buffer.dtype)
        self._initialize_hook = self.register_forward_pre_hook(_infer)
        self._load_hook = self.register_load_state_dict_pre_hook(_take_shapes)

    def _state(self) -> dict[str, Any]:
        return self._parameters | self._buffers

    def has_uninitialized_params(self) -> bool:
        """Whether a shape is still unknown."""
        return any(isinstance(value, _Uninitialized) for value in self._state().values())

    def reset_parameters(self) -> None:
        """Draw the parameters anew, once they have a shape."""
        if getattr(self, self.learned) and not self.has_uninitialized_params():
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Make the parameters for inputs like *input*, unless a loaded state did."""
        loaded = not self.has_uninitialized_params()
        setattr(self, self.learned, self._size_of(input))
        if loaded:
            return
        for name, shape in self._shapes().items():
            value = self._state().get(name)
            if isinstance(value, _Uninitialized):
                value.materialize(shape)
        self.reset_parameters()

    def _size_of(self, input: Tensor) -> int:
        """The size that *input* tells."""
        raise NotImplementedError

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of parameters and statistics for that size."""
        raise NotImplementedError


def _infer(module: Any, args: tuple[Any, ...]) -> None:
    """Before the first forward: make the parameters and become the ordinary module."""
    module.initialize_parameters(*args)
    for name in ("_initialize_hook", "_load_hook"):
        getattr(module, name).remove()
        delattr(module, name)
    module.__class__ = module.cls_to_become


def _take_shapes(module: Any, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
    """Before a state is loaded: take the shapes that it has."""
    for name, value in module._state().items():
        given = state_dict.get(prefix + name)
        if isinstance(value, _Uninitialized) and given is not None and not isinstance(given, _Uninitialized):
            value.materialize(given.shape)


class LazyLinear(_Lazy, Linear):
    """A ``Linear`` that takes *in_features* from the last dimension of its first input.

    Example:
        >>> import allgrad as torch
        >>> layer = torch.nn.LazyLinear(2)
        >>> layer(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
        >>> layer
        Linear(in_features=3, out_features=2, bias=True)
    """

    cls_to_become = Linear
    learned = "in_features"

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, out_features, bias, device, dtype)
        self._wait()

    def _size_of(self, input: Tensor) -> int:
        return input.shape[-1]  # type: ignore[no-any-return]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.out_features, self.in_features), "bias": (self.out_features,)}


class _LazyConvolution(_Lazy, _Convolution):
    """What the lazy convolutions share: *in_channels* is told by the first input."""

    learned = "in_channels"
    transposed: ClassVar[bool]

    def __init__(self, out_channels: int, kernel_size: Size, *args: Any, **kwargs: Any) -> None:
        super().__init__(0, out_channels, kernel_size, *args, **kwargs)  # type: ignore[call-arg]
        self._wait()

    def _size_of(self, input: Tensor) -> int:
        dims = self.dimensions
        if input.ndim not in (dims + 1, dims + 2):
            raise RuntimeError(
                f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {self._get_name()}, but got input of "
                f"size: {list(input.shape)}"
            )
        channels = input.shape[input.ndim - dims - 1]
        if channels % self.groups:
            raise ValueError(f"in_channels must be divisible by groups, found {channels} and {self.groups}")
        return channels  # type: ignore[no-any-return]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        incoming, outgoing = self.in_channels, self.out_channels
        pair = (incoming, outgoing // self.groups) if self.transposed else (outgoing, incoming // self.groups)
        return {"weight": (*pair, *self.kernel_size), "bias": (outgoing,)}


class LazyConv1d(_LazyConvolution, Conv1d):
    """A ``Conv1d`` that takes *in_channels* from its first input."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConvolution, Conv2d):
    """A ``Conv2d`` that takes *in_channels* from its first input."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConvolution, Conv3d):
    """A ``Conv3d`` that takes *in_channels* from its first input."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvolution, ConvTranspose1d):
    """A ``ConvTranspose1d`` that takes *in_channels* from its first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvolution, ConvTranspose2d):
    """A ``ConvTranspose2d`` that takes *in_channels* from its first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvolution, ConvTranspose3d):
    """A ``ConvTranspose3d`` that takes *in_channels* from its first input."""

    cls_to_become = ConvTranspose3d


class _LazyNorm(_Lazy, _BatchNorm):
    """What the lazy norms share: *num_features* is told by the first input."""

    learned = "num_features"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(0, *args, **kwargs)
        self._wait()

    def _size_of(self, input: Tensor) -> int:
        return input.shape[0 if input.ndim < min(self.dimensions) else 1]  # type: ignore[no-any-return]

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (self.num_features,))


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A ``BatchNorm1d`` that takes *num_features* from its first input."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A ``BatchNorm2d`` that takes *num_features* from its first input."""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A ``BatchNorm3d`` that takes *num_features* from its first input."""

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """An ``InstanceNorm1d`` that takes *num_features* from its first input."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """An ``InstanceNorm2d`` that takes *num_features* from its first input."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """An ``InstanceNorm3d`` that takes *num_features* from its first input."""

    cls_to_become = InstanceNorm3d
