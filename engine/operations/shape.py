"""Changing the shape: views, joins, splits and reorderings."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import normal_dim, normal_dims
from ..registry import Array, Arrays, composite, operation
from ..registry.nodes import reduce_to
from ..registry.operation import Promotion
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor, add_method

Shape = Sequence[int]


def _ints(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """``(2, 3)`` of the call ``f(2, 3)`` as of ``f((2, 3))``."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    return tuple(int(n) for n in sizes)


def varargs(operation_call: Callable[..., Any], name: str) -> None:
    """Let the method *name* take its sizes one by one as well as in a tuple."""

    def method(self: Tensor, *sizes: Any) -> Any:
        return operation_call(self, _ints(sizes))

    method.__name__, method.__doc__ = name, operation_call.__doc__
    add_method(name, method)


def _resolved(shape: Shape, size: int) -> tuple[int, ...]:
    """*shape* with its -1 worked out for *size* elements; RuntimeError as PyTorch words it."""
    given = tuple(shape)
    if given.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    known = math.prod(n for n in given if n != -1)
    needed = f"a multiple of {known}" if -1 in given else known
    invalid = RuntimeError(f"shape '{list(given)}' is invalid for input of size {size}: it has room for {needed}")
    if -1 in given:
        if known == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(given)} because the unspecified dimension size "
                "-1 can be any value and is ambiguous"
            )
        if size % known:
            raise invalid
        return tuple(size // known if n == -1 else n for n in given)
    if known != size or any(n < 0 for n in given):
        raise invalid
    return given


@operation(
    lambda g, input_shape: np.reshape(g, input_shape),
    view=True,
    node_name="ViewBackward0",
    samples=each(on(real(3, 4), (2, 6)), on(real(3, 4), (-1,)), on(real(6), (2, 1, 3))),
)
def reshape(input: Array, shape: Shape) -> Array:
    """input with another *shape* of as many elements (one may be -1); a view where memory allows.

    >>> import allgrad as torch
    >>> torch.arange(4).reshape(2, -1)
    tensor([[0, 1],
            [2, 3]])
    """
    return input.reshape(_resolved(shape, input.size))


varargs(reshape, "reshape")


@composite(method=False)
def view(input: Tensor, *shape: Any) -> Tensor:
    """A view of input with another shape; RuntimeError where its memory is laid out so that only a copy could have it."""
    if len(shape) == 1 and not isinstance(shape[0], (int, tuple, list)):
        raise TypeError("view(dtype) is not supported: use .to(dtype) to convert, or .numpy().view(...) to reinterpret")
    target = _resolved(_ints(shape), input._array.size)
    try:
        input._array.reshape(target, copy=False)
    except ValueError:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        ) from None
    return reshape(input, target)


add_method("view", view)


def _view_as(self: Tensor, other: Tensor) -> Tensor:
    return view(self, other.shape)


add_method("view_as", _view_as)
add_method("reshape_as", lambda self, other: reshape(self, tuple(other.shape)))


@composite(samples=each(on(real(2, 3, 4), 1), on(real(2, 3)), on(real())))
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """input with the dimensions from *start_dim* to *end_dim* made one.

    >>> import allgrad as torch
    >>> torch.zeros(2, 3, 4).flatten(1).shape
    torch.Size([2, 12])
    """
    shape = input._array.shape
    if not shape:
        return reshape(input, (1,))
    start, end = normal_dim(start_dim, len(shape)), normal_dim(end_dim, len(shape))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    middle = math.prod(shape[start : end + 1])
    return reshape(input, (*shape[:start], middle, *shape[end + 1 :]))


@composite(samples=on(real(6, 2), 0, (2, 3)))
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """input with dimension *dim* split into *sizes* (one may be -1)."""
    shape = input._array.shape
    d = normal_dim(dim, len(shape))
    return reshape(input, (*shape[:d], *_resolved(sizes, shape[d]), *shape[d + 1 :]))


@operation(
    lambda g, dim0, dim1: np.swapaxes(g, dim0, dim1),
    view=True,
    aliases=("swapaxes", "swapdims"),
    samples=each(on(real(3, 4), 0, 1), on(real(2, 3, 4), -1, 0)),
)
def transpose(input: Array, dim0: int, dim1: int) -> Array:
    """A view of input with two dimensions exchanged.

    >>> import allgrad as torch
    >>> torch.zeros(2, 3).transpose(0, 1).shape
    torch.Size([3, 2])
    """
    if not input.ndim:
        normal_dims(dim0, 1), normal_dims(dim1, 1)
        return input
    return input.swapaxes(normal_dim(dim0, input.ndim), normal_dim(dim1, input.ndim))


@operation(lambda g: np.transpose(g), view=True, node_name="TBackward0", samples=each(on(real(3, 4)), on(real(3))))
def t(input: Array) -> Array:
    """A view of a matrix with rows and columns exchanged; a vector or a number stays as it is."""
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return input.T


def _reversed_dims(self: Tensor) -> Tensor:
    """A view with the dimensions in reverse order."""
    if self._array.ndim == 2:
        return t(self)
    return permute(self, tuple(range(self._array.ndim))[::-1])


add_method("T", property(_reversed_dims))
add_method("mT", property(lambda self: transpose(self, -2, -1)))


@operation(
    lambda g, dims: np.transpose(g, tuple(int(i) for i in np.argsort([d % len(dims) for d in dims]))),
    view=True,
    samples=each(on(real(2, 3, 4), (2, 0, 1)), on(real(2, 3), (-1, 0))),
)
def permute(input: Array, dims: Shape) -> Array:
    """A view of input with its dimensions in the order *dims*."""
    order = normal_dims(tuple(dims), input.ndim)
    if len(order) != input.ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(order)}"
        )
    return input.transpose(order)


varargs(permute, "permute")


@composite(aliases=("moveaxis",), samples=on(real(2, 3, 4), 0, 2))
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """A view of input with the dimensions *source* moved to *destination*."""
    ndim = input._array.ndim
    sources, targets = normal_dims(source, ndim), normal_dims(destination, ndim)
    if len(sources) != len(targets):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({source}) should contain as many dims as "
            f"destination ({destination})"
        )
    order = [d for d in range(ndim) if d not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return permute(input, tuple(order))


@operation(
    lambda g, input_shape: reduce_to(g, input_shape),
    view=True,
    node_name="ExpandBackward0",
    samples=each(on(real(3, 1), (3, 4)), on(real(3), (2, -1)), on(real(), (2,))),
)
def expand(input: Array, size: Shape) -> Array:
    """A read-only view of input with dimensions of length 1 stretched to *size* (-1 keeps one)."""
    added = len(size) - input.ndim
    if added < 0:
        raise RuntimeError(
            f"expand({list(input.shape)}, size={list(size)}): the number of sizes provided ({len(size)}) must be greater "
            f"or equal to the number of dimensions in the tensor ({input.ndim})"
        )
    target = tuple(input.shape[i - added] if n == -1 and i >= added else n for i, n in enumerate(size))
    for i, length in enumerate(input.shape):
        if length not in (1, target[i + added]):
            raise RuntimeError(
                f"The expanded size of the tensor ({target[i + added]}) must match the existing size ({length}) at "
                f"non-singleton dimension {i + added}.  Target sizes: {list(target)}.  Tensor sizes: {list(input.shape)}"
            )
    return np.broadcast_to(input, target)


varargs(expand, "expand")
add_method("expand_as", lambda self, other: expand(self, tuple(other.shape)))


@composite(method=False, samples=on(real(3, 1), (3, 4)))
def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """A read-only view of input broadcast to *shape*."""
    return expand(input, tuple(shape))


varargs(broadcast_to, "broadcast_to")


@operation(
    lambda g, input_shape: np.reshape(g, input_shape),
    view=True,
    samples=each(on(real(3, 1, 2, 1)), on(real(3, 1, 2), 1), on(real(3, 2), 0), on(real(1, 3, 1), (0, 2))),
)
def squeeze(input: Array, dim: int | Sequence[int] | None = None) -> Array:
    """A view of input without its dimensions of length 1, all or those of *dim*."""
    if dim is None:
        return input.squeeze()
    dims = normal_dims(dim, input.ndim) if input.ndim else ()
    return input.squeeze(tuple(d for d in dims if input.shape[d] == 1))


@operation(
    lambda g, input_shape: np.reshape(g, input_shape),
    view=True,
    samples=each(on(real(3, 2), 0), on(real(3, 2), -1), on(real(), 0)),
)
def unsqueeze(input: Array, dim: int) -> Array:
    """A view of input with a dimension of length 1 put in at *dim*.

    >>> import allgrad as torch
    >>> torch.tensor([1, 2]).unsqueeze(1).shape
    torch.Size([2, 1])
    """
    return np.expand_dims(input, normal_dim(dim, input.ndim + 1))


def cut(g: Any, lengths: Sequence[int], dim: int) -> list[Any]:
    """*g* cut along *dim* into pieces of *lengths*."""
    pieces, start = [], 0
    for length in lengths:
        index = (slice(None),) * (dim % len(tuple(g.shape))) + (slice(start, start + length),)
        pieces.append(g[index])
        start += length
    return pieces


def _check_same_but(shapes: Sequence[tuple[int, ...]], dim: int) -> None:
    first = shapes[0]
    for number, shape in enumerate(shapes):
        if len(shape) != len(first):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}")
        for d, (a, b) in enumerate(zip(first, shape, strict=True)):
            if a != b and d != dim % len(first):
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {a} but got size {b} for "
                    f"tensor number {number} in the list."
                )


@operation(
    lambda g, tensors_shape, dim: [
        np.reshape(part, (0,)) if shape == (0,) else part
        for part, shape in zip(cut(g, [_length(s, dim) for s in tensors_shape], dim), tensors_shape, strict=True)
    ],
    promotion=Promotion.ARITHMETIC,
    method=False,
    aliases=("concat", "concatenate"),
    samples=each(on([real(2, 3), real(1, 3)]), on([real(2, 3), real(2, 2), real(2, 0)], 1)),
)
def cat(tensors: Arrays, dim: int = 0) -> Array:
    """The *tensors* one behind the other along *dim*; all other dimensions agree.

    >>> import allgrad as torch
    >>> torch.cat([torch.tensor([1, 2]), torch.tensor([3])])
    tensor([1, 2, 3])
    """
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    if any(a.ndim == 0 for a in tensors):
        raise RuntimeError("zero-dimensional tensor cannot be concatenated: use torch.stack, or unsqueeze it first")
    arrays = [a for a in tensors if a.shape != (0,)] or list(tensors)  # PyTorch lets an empty vector join anything
    normal_dim(dim, arrays[0].ndim)
    _check_same_but([a.shape for a in arrays], dim)
    return np.concatenate(arrays, axis=dim)


def _length(shape: tuple[int, ...], dim: int) -> int:
    return 0 if shape == (0,) else shape[dim]


@operation(
    lambda g, tensors_shape, dim: [
        g[(slice(None),) * (dim % (len(tensors_shape[0]) + 1)) + (i,)] for i in range(len(tensors_shape))
    ],
    promotion=Promotion.ARITHMETIC,
    method=False,
    samples=each(on([real(2, 3), real(2, 3)]), on([real(2, 3), real(2, 3), real(2, 3)], -1), on([real(), real()])),
)
def stack(tensors: Arrays, dim: int = 0) -> Array:
    """The *tensors*, all of one shape, side by side along a new dimension *dim*."""
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = tensors[0].shape
    for i, a in enumerate(tensors):
        if a.shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and {list(a.shape)} at "
                f"entry {i}"
            )
    return np.stack(tensors, axis=normal_dim(dim, len(first) + 1))


@composite(samples=each(on(real(5, 2), 2), on(real(2, 5), [2, 3], 1)))
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of *tensor* cut along *dim* into pieces of one size (the last may be smaller) or of the sizes listed."""
    length = tensor._array.shape[normal_dim(dim, tensor._array.ndim)]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and length):
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
        lengths = [builtins.min(size, length - start) for start in range(0, length, size)] if length else [0]
    else:
        lengths = list(split_size_or_sections)
        if builtins.sum(lengths) != length:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's size at dimension "
                f"{dim}), but got split_sizes={lengths}"
            )
    return tuple(cut(tensor, lengths, dim))


@composite(samples=on(real(5, 2), 3))
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of input cut along *dim* into at most *chunks* pieces of equal size (the last may be smaller)."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    length = input._array.shape[normal_dim(dim, input._array.ndim)]
    return split(input, -(-length // chunks) if length else 0, dim)


@composite(samples=on(real(3, 2)))
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of input's slices along *dim*."""
    d = normal_dim(dim, input._array.ndim)
    return tuple(input[(slice(None),) * d + (i,)] for i in range(input._array.shape[d]))


@composite(samples=on(real(4, 3), 0, 1, 2))
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A view of *length* entries of input along *dim*, from *start* on."""
    if not input._array.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError(f"narrow(): length must be non-negative, found {length}.")
    d = normal_dim(dim, input._array.ndim)
    size = input._array.shape[d]
    begin = start + size if start < 0 else start
    if not 0 <= begin <= size:
        raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], but got {start})")
    if begin + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return input[(slice(None),) * d + (slice(begin, begin + length),)]


@composite(samples=on(real(4, 3), 1, 2))
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of input at *index* along *dim*."""
    d = normal_dim(dim, input._array.ndim)
    size = input._array.shape[d]
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {dim}"
        )
    return input[(slice(None),) * d + (index,)]


@composite(samples=each(on(real(2, 3)), on(real())))
def ravel(input: Tensor) -> Tensor:
    """input as a vector; a view where memory allows."""
    return reshape(input, (-1,))
