"""What becomes of a tensor outside of the engine: NumPy arrays, Python numbers, text, other libraries and devices."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from ..batching import Batched, Unbatchable
from ..devices import device
from ..tape.mode import mode
from .attributes import Array, Attributes

_ITEM_INSIDE_VMAP = (
    "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() on a Tensor, please "
    "try to rewrite what you're doing with other operations: inside vmap a tensor has another value for each example"
)
_DECISION_INSIDE_VMAP = (
    "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. Inside vmap it has another "
    "value for each example: compute both ways and choose with torch.where(condition, a, b)"
)
_NUMPY_INSIDE_VMAP = (
    "vmap: numpy() was called on a Tensor that has another value for each example, and no single array: use operations on "
    "Tensors, or a torch.autograd.Function with a vmap staticmethod"
)


class Conversions(Attributes):
    """How a tensor turns into something else."""

    __slots__ = ()

    requires_grad: bool

    def numpy(self, *, force: bool = False) -> Array:
        """The elements as a NumPy array over the same memory.

        RuntimeError if it requires grad and operations are recorded, unless *force* detaches it first.
        """
        if self.requires_grad and mode.enabled and not force:
            raise RuntimeError(
                f"Can't call numpy() on Tensor that requires grad (of shape {list(self.shape)}): the array would not be "
                "recorded. Use tensor.detach().numpy() instead."
            )
        if isinstance(self._array, Batched):
            raise Unbatchable(_NUMPY_INSIDE_VMAP)
        return self._array

    def item(self) -> Any:
        """The only element as a Python number. RuntimeError if there is not exactly one."""
        if isinstance(self._array, Batched):
            raise RuntimeError(_ITEM_INSIDE_VMAP)
        if self._array.size != 1:
            raise RuntimeError(
                f"a Tensor with {self._array.size} elements cannot be converted to Scalar, shape {list(self.shape)}: "
                "item() wants exactly one, tolist() takes any number"
            )
        return self._python(self._array.reshape(()))

    @staticmethod
    def _python(array: Array) -> Any:
        """The elements as Python numbers; those of bfloat16, which NumPy leaves as they are, as floats."""
        return array.tolist() if array.dtype.kind != "V" else array.astype(np.float32).tolist()

    def tolist(self) -> Any:
        """The elements as nested Python lists, or a number for a 0-d tensor."""
        if isinstance(self._array, Batched):
            raise RuntimeError(_ITEM_INSIDE_VMAP)
        return self._python(self._array)

    def __bool__(self) -> bool:
        if isinstance(self._array, Batched):
            raise RuntimeError(_DECISION_INSIDE_VMAP)
        if self._array.size != 1:
            count = "more than one value" if self._array.size else "no values"
            raise RuntimeError(
                f"Boolean value of Tensor with {count} is ambiguous, for shape {list(self.shape)}: use any() or all()"
            )
        return bool(self._array.item())

    def _scalar(self) -> Any:
        if isinstance(self._array, Batched):
            raise RuntimeError(_ITEM_INSIDE_VMAP)
        if self._array.size != 1:
            raise ValueError(
                f"only one element tensors can be converted to Python scalars, found shape {list(self.shape)}"
            )
        return self._array.item()

    def __float__(self) -> float:
        return float(self._real_scalar("double"))

    def __int__(self) -> int:
        return int(self._real_scalar("int64_t"))

    def _real_scalar(self, kind: str) -> Any:
        value = self._scalar()
        if isinstance(value, complex):
            if value.imag:
                raise RuntimeError(
                    f"value cannot be converted to type {kind} without overflow: found {value}; take .real or .abs() first"
                )
            return value.real
        return value

    def __complex__(self) -> complex:
        return complex(self._scalar())

    def __index__(self) -> int:
        if self._array.size != 1 or self._array.dtype.kind not in "iub":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __format__(self, specification: str) -> str:
        if self._array.ndim == 0:
            return format(self.item(), specification)
        return object.__format__(self, specification)

    def __contains__(self, element: Any) -> bool:
        if not isinstance(element, (Conversions, int, float, complex, np.generic)):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
            )
        other = element._array if isinstance(element, Conversions) else element
        return bool((self._array == other).any())

    def __delitem__(self, index: Any) -> None:
        raise TypeError("Tensor does not support deleting items: index what is to be kept")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.numpy()
        return np.array(array, dtype=dtype, copy=copy)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if self.requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self._array.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """``allgrad.array_api``: the functions of the Python array API standard. ValueError for an unknown version."""
        from .. import array_api

        known = ("2021.12", "2022.12", "2023.12", array_api.__array_api_version__)
        if api_version is not None and api_version not in known:
            raise ValueError(f"the array API version {api_version!r} is not one of {', '.join(known)}")
        return array_api

    def to_device(self, where: Any, /, *, stream: Any = None) -> Self:
        """This tensor: the CPU is the only device. RuntimeError for another one, ValueError for a *stream*."""
        if stream is not None:
            raise ValueError(f"the CPU has no streams, found {stream!r}")
        device(where)
        return self

    def cpu(self) -> Self:
        """This tensor: it is on the CPU already."""
        return self

    def cuda(self, *_: Any, **__: Any) -> Self:
        """RuntimeError: there is no accelerator."""
        device("cuda")
        raise AssertionError("unreachable")

    def pin_memory(self, device: Any = None) -> Self:
        """This tensor: memory is pinned for accelerators only."""
        return self

    def to_dense(self, dtype: Any = None, *, masked_grad: bool | None = None) -> Self:
        """This tensor: every tensor here is dense."""
        return self

    def share_memory_(self) -> Self:
        """This tensor; NumPy memory is shared with forked workers copy-on-write."""
        return self
