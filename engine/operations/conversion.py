"""Converting types, copying, and filling."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..devices import device
from ..registry import Array, composite, operation
from ..registry.inplace import check_may_change, rewrite_history, write
from ..registry.samples import each, on, unary
from ..registry.samples import real as reals
from ..tape.mode import mode
from ..tensors.tensor import Tensor, add_method
from .batches import room_for


def _uncast(g: Any, input_dtype: dtypes.dtype) -> Any:
    """The gradient of a cast, in the type it was cast from; the real part where that is real."""
    if not input_dtype.is_complex and g.dtype in (
        dtypes.complex64,
        dtypes.complex128,
        np.complex64,
        np.complex128,
    ):
        g = np.real(g)
    return cast_to(g, input_dtype, input_dtype)


@operation(
    lambda g, source: _uncast(g, source),
    node_name="ToCopyBackward0",
    public=False,
    samples=on(reals(3, 4), dtypes.float64, dtypes.float64),
)
def cast_to(input: Array, target: dtypes.dtype, source: dtypes.dtype) -> Array:
    """A copy of input as type *target*; *source* is the type it has."""
    return input.astype(target.numpy)


def _converted(input: Tensor, target: dtypes.dtype, copy: bool = False) -> Tensor:
    if input._array.dtype == target.numpy and not copy:
        return input
    if dtypes.bfloat16 in (target, input.dtype) and mode.enabled and input.requires_grad:
        raise RuntimeError(
            "bfloat16 is for storage here: no gradient passes it. Keep parameters and what is computed from them in "
            "float32, and convert copies: x.detach().bfloat16()"
        )
    if input._array.dtype.kind == "c" and not target.is_complex:
        input = real_part(input)  # PyTorch warns of the imaginary part that is lost; the types say it
    return cast_to(input, target, input.dtype)


@composite()
def to(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """input as another dtype, on a device (the CPU), or like another tensor; itself where nothing changes.

    >>> import allgrad as torch
    >>> torch.tensor([1.7]).to(torch.int64)
    tensor([1])
    """
    target: Any = kwargs.pop("dtype", None)
    where: Any = kwargs.pop("device", None)
    copy = kwargs.pop("copy", False)
    kwargs.pop("non_blocking", None), kwargs.pop("memory_format", None)
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument {next(iter(kwargs))!r}")
    for value in args:
        if isinstance(value, Tensor):
            target = value.dtype
        elif isinstance(value, (str, device)):
            where = value
        elif isinstance(value, bool):
            copy = copy or (value and value is args[-1] and len(args) > 2)
        elif value is not None:
            target = value
    if where is not None:
        device(where)
    return _converted(input, input.dtype if target is None else dtypes.as_dtype(target), copy)


@composite(samples=on(reals(3, 4), dtypes.float64))
def type(input: Tensor, dtype: Any = None) -> Any:
    """input as *dtype*, or as the older name of a type, such as "torch.DoubleTensor"; without it, that name."""
    if dtype is None:
        from ..registry.inplace import title

        return f"torch.{title(input.dtype)}Tensor"
    if isinstance(dtype, str):
        return _converted(input, dtypes.of_tensor_type(dtype))
    return _converted(input, dtypes.as_dtype(getattr(dtype, "dtype", dtype)))


@composite(samples=on(reals(3), reals(2)))
def type_as(input: Tensor, other: Tensor) -> Tensor:
    """input as the type of *other*."""
    return _converted(input, other.dtype)


def _shorthand(name: str, target: dtypes.dtype) -> None:
    def method(self: Tensor, memory_format: Any = None) -> Tensor:
        return _converted(self, target)

    method.__name__ = name
    method.__doc__ = f"This tensor as {target}."
    add_method(name, method)


for _name, _target in {
    "bool": dtypes.bool_, "byte": dtypes.uint8, "char": dtypes.int8, "short": dtypes.int16, "int": dtypes.int32,
    "long": dtypes.int64, "half": dtypes.float16, "bfloat16": dtypes.bfloat16, "float": dtypes.float32, "double": dtypes.float64,
    "cfloat": dtypes.complex64, "cdouble": dtypes.complex128,
}.items():  # fmt: skip
    _shorthand(_name, _target)


@operation(lambda g: g, samples=unary())
def clone(input: Array, *, memory_format: Any = None) -> Array:
    """A copy of input with memory of its own; gradients pass through.

    >>> import allgrad as torch
    >>> a = torch.tensor([1.]); b = a.clone(); b += 1; a
    tensor([1.])
    """
    return input.copy(order="K")


def _copied(self: Tensor) -> Tensor:
    return self.detach().requires_grad_(self.requires_grad) if self.is_leaf else self.clone()


add_method("__copy__", _copied)


@composite(samples=unary())
def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """input itself if its elements lie in row-major order without gaps, else such a copy."""
    return input if input._array.flags.c_contiguous else _in_row_major_order(input)


@operation(lambda g: g, public=False, node_name="CloneBackward0", samples=unary())
def _in_row_major_order(input: Array) -> Array:
    """A copy of input in row-major order."""
    return input.copy()


def _copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Copy the elements of *src*, broadcast and converted, into this tensor; gradients go to *src*."""
    source = src if isinstance(src, Tensor) else Tensor._wrap(np.asarray(src))
    check_may_change(self, source._node is not None)
    _check_writeable(self, "copy_")
    source = source.to(self.dtype)
    if mode.enabled and (source._node is not None or self._node is not None):
        source = source if source._array.shape == self._array.shape else source.expand(tuple(self.shape))
        write(self, overwritten(Tensor._wrap(self._array, self._node), source), "copy_")
        return self
    try:
        np.copyto(self._array, source._array)
    except ValueError:
        raise RuntimeError(
            f"copy_(): a tensor of shape {list(source.shape)} cannot be broadcast into one of {list(self.shape)}"
        ) from None
    rewrite_history(self, None)
    return self


add_method("copy_", _copy_)


@operation(
    lambda g: np.zeros_like(g),
    lambda g: g,
    public=False,
    node_name="CopyBackwards",
    samples=on(reals(3), reals(3)),
)
def overwritten(input: Array, source: Array) -> Array:
    """source: what input becomes when it is overwritten."""
    return source.copy()


@operation(lambda g: np.zeros_like(g), public=False, node_name="FillBackward0", samples=on(reals(3, 4), 2.0))
def filled(input: Array, value: Any) -> Array:
    """An array like input, full of the number *value*."""
    return np.full_like(input, value)


def _fill_(self: Tensor, value: Any) -> Tensor:
    """Set every element to *value*, a number or 0-d tensor, in place."""
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {value._array.ndim} dimensions."
            )
        return _copy_(self, value)
    check_may_change(self)
    _check_writeable(self, "fill_")
    if isinstance(value, complex) and not self.is_complex():
        raise RuntimeError(f"the complex value {value} cannot be converted to {self.dtype} without overflow")
    if mode.enabled and self._node is not None:
        write(self, filled(Tensor._wrap(self._array, self._node), value), "fill_")
    else:
        self._array.fill(value)
        rewrite_history(self, None)
    return self


@composite(out=True, method=False, samples=each(on(reals(3, 4), 2.0), on(reals(3), reals())))
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like input, full of *value*, a number or a 0-d tensor (to which the gradient goes).

    >>> import allgrad as torch
    >>> torch.fill(torch.zeros(2), 3)
    tensor([3., 3.])
    """
    return _fill_(room_for(input, value), value)


def _check_writeable(target: Tensor, name: str) -> None:
    if not target._array.flags.writeable:
        raise RuntimeError(
            f"{name}() would change a tensor over read-only memory (an expanded view, or an array that is not "
            "writeable): .clone() it first"
        )


def _zero_(self: Tensor) -> Tensor:
    """Set every element to 0, in place."""
    return _fill_(self, 0)


def _resize_(self: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Give this tensor the shape *sizes*, in place: the first elements stay, further ones are not initialised."""
    shape = tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    if self._node is not None:
        raise RuntimeError("cannot resize variables that require grad: .detach() it first")
    count, array = int(np.prod(shape)), self._array
    flat = array.reshape(-1)
    if count > flat.size:
        flat = np.concatenate([flat, np.empty(count - flat.size, flat.dtype)])
    self._array = flat[:count].reshape(shape)
    rewrite_history(self, None)
    return self


def _resize_as_(self: Tensor, the_template: Tensor, memory_format: Any = None) -> Tensor:
    """Give this tensor the shape of *the_template*, in place."""
    return _resize_(self, the_template._array.shape)


add_method("resize_", _resize_)
add_method("resize_as_", _resize_as_)
add_method("fill_", _fill_)
add_method("zero_", _zero_)


@operation(lambda g: g + 0j, view=True, node_name="RealBackward0", public=False, samples=None)
def real_part(input: Array) -> Array:
    """A view of the real parts of complex numbers."""
    return np.real(input)


@composite(method=False)
def real(input: Tensor) -> Tensor:
    """A view of the real part; a real tensor as it is."""
    return real_part(input) if input.is_complex() else input


add_method("real", property(real))


@operation(lambda g: g * -1j, view=True, node_name="ImagBackward0", public=False, samples=None)
def imaginary_part(input: Array) -> Array:
    """A view of the imaginary parts of complex numbers."""
    return np.imag(input)


@composite(method=False)
def imag(input: Tensor) -> Tensor:
    """A view of the imaginary part. RuntimeError for a real tensor."""
    if not input.is_complex():
        raise RuntimeError(f"imag is not implemented for tensors with non-complex dtypes, found {input.dtype}")
    return imaginary_part(input)


add_method("imag", property(imag))


@composite(method=False)
def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The type that arithmetic on the two, tensors or numbers, has.

    >>> import allgrad as torch
    >>> torch.result_type(torch.tensor([1, 2], dtype=torch.int32), 1.0)
    torch.float32
    """
    from ..registry.record import result_dtype

    return result_dtype((tensor1, tensor2))


@operation(
    lambda g: np.conjugate(g),
    ufunc=np.conjugate,
    aliases=("conj_physical", "resolve_conj"),
    inplace=True,
    samples=unary(),
)
def conj(input: Array) -> Array:
    """The complex conjugate; a real tensor as it is."""
    return np.conjugate(input)
