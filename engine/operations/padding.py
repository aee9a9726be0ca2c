"""Padding: a tensor made larger at its ends, by a constant or by what stands there, or smaller by a negative number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..batching import empty, full, zeros
from ..registry import Array, composite, operation
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor

Pairs = tuple[tuple[int, int], ...]  # how much is added before and after, for the last dimensions in their order

_NODE_NAMES = {"reflect": "ReflectionPad", "replicate": "ReplicationPad"}


def _pairs(pad: Sequence[int]) -> Pairs:
    """*pad*, which begins with the last dimension, as pairs in the order of the dimensions."""
    return tuple((pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2))


def _check_sizes(shape: tuple[int, ...], pad: Sequence[int]) -> None:
    if len(pad) % 2:
        raise RuntimeError(f"Padding length must be divisible by 2, found {len(pad)}: {list(pad)}")
    if len(pad) > 2 * len(shape):
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(pad)} and input of dimension {len(shape)}"
        )
    first = len(shape) - len(pad) // 2
    for dim, (before, after) in enumerate(_pairs(pad), first):
        if shape[dim] + before + after < 0:
            raise RuntimeError(
                f"The input size {shape[dim]}, plus negative padding {before} and {after}, resulted in a negative "
                f"output size, which is invalid. Check dimension {dim} of your input."
            )


@operation(
    lambda g, pad: constant_pad_nd(g, tuple(-n for n in pad)),
    method=False,
    samples=each(on(real(2, 3), (1, 2), 0.5), on(real(3, 4), (-1, 1, 2, -2)), on(real(2), (0, 0))),
)
def constant_pad_nd(input: Array, pad: Sequence[int], value: Any = 0) -> Array:
    """input with *value* added at its ends: *pad* has two numbers for the last dimension, two for the one before it, ….

    A negative number removes so many elements.

    >>> import allgrad as torch
    >>> torch.constant_pad_nd(torch.ones(2), (1, 2), 5)
    tensor([5., 1., 1., 5., 5.])
    """
    _check_sizes(input.shape, pad)
    pairs = ((0, 0),) * (input.ndim - len(pad) // 2) + _pairs(pad)
    result = full([n + a + b for n, (a, b) in zip(input.shape, pairs, strict=True)], value, input)
    taken = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(input.shape, pairs, strict=True))
    put = tuple(slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(result.shape, pairs, strict=True))
    result[put] = input[taken]
    return result


def _sources(length: int, before: int, after: int, mode: str) -> Array:
    """Which of *length* elements stands at each place of the padded dimension."""
    if mode == "circular":
        start, stop = max(-before, 0), length - max(-after, 0)
        return np.arange(-max(before, 0), stop - start + max(after, 0)) % max(stop - start, 1) + start
    places = np.arange(-before, length + after)
    if mode == "replicate":
        return places.clip(0, length - 1)
    places = np.absolute(places)
    return np.where(places >= length, 2 * (length - 1) - places, places)


def _node_name(node: Any) -> str:
    name = _NODE_NAMES.get(node._saved_mode)
    return f"{name}{len(node._saved_pad) // 2}DBackward0" if name else "CopySlices"


@operation(
    lambda g, input_shape, pad, mode: edge_unpad(g, input_shape, pad, mode),
    public=False,
    node_name=_node_name,
    samples=each(on(real(1, 4), (2, 1), "reflect"), on(real(1, 3, 3), (-1, 2, 1, 4), "replicate")),
)
def edge_pad(input: Array, pad: Sequence[int], mode: str) -> Array:
    """input with its last dimensions padded by what *mode* says: "reflect", "replicate" or "circular"."""
    result = input
    for axis, (before, after) in enumerate(_pairs(pad), input.ndim - len(pad) // 2):
        result = _pad_axis(result, axis, _sources(input.shape[axis], before, after, mode), max(before, 0))
    return result


@operation(
    lambda g, pad, mode: edge_pad(g, pad, mode),
    public=False,
    samples=each(on(real(1, 7), (1, 4), (2, 1), "reflect"), on(real(1, 5), (1, 4), (-1, 2), "circular")),
)
def edge_unpad(g: Array, shape: tuple[int, ...], pad: Sequence[int], mode: str) -> Array:
    """What ``edge_pad`` of a tensor of *shape* sends back: each element of *g* added to the place it was taken from."""
    for axis, (before, after) in enumerate(_pairs(pad), len(shape) - len(pad) // 2):
        g = _unpad_axis(g, axis, _sources(shape[axis], before, after, mode), max(before, 0), shape[axis])
    return g


def _rising(sources: Array, start: int) -> slice:
    """The places around *start* at which *sources* rise one by one: the elements that stand there for themselves."""
    places = np.arange(len(sources))
    own = np.flatnonzero(places - start == sources - sources[min(start, len(sources) - 1)])
    return slice(int(own[0]), int(own[-1]) + 1) if own.size else slice(0, 0)


def _pad_axis(array: Array, axis: int, sources: Array, start: int) -> Array:
    """*array* at *sources* along *axis*; most of them are copied as the one block they are."""
    result = empty((*array.shape[:axis], len(sources), *array.shape[axis + 1 :]), array)
    if not sources.size:
        return result
    to, of, block = np.moveaxis(result, axis, 0), np.moveaxis(array, axis, 0), _rising(sources, start)
    first = int(sources[block.start])
    to[block] = of[first : first + block.stop - block.start]
    for place in (*range(block.start), *range(block.stop, len(sources))):
        to[place] = of[sources[place]]
    return result


def _unpad_axis(g: Array, axis: int, sources: Array, start: int, length: int) -> Array:
    """*g* added along *axis* at *sources* into zeros of that *length*: what ``_pad_axis`` sends back."""
    result = zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]), g)
    if not sources.size:
        return result
    to, of, block = np.moveaxis(result, axis, 0), np.moveaxis(g, axis, 0), _rising(sources, start)
    first = int(sources[block.start])
    to[first : first + block.stop - block.start] = of[block]
    for place in (*range(block.start), *range(block.stop, len(sources))):
        to[sources[place]] += of[place]
    return result


def _check_edges(input: Tensor, pad: Sequence[int], mode: str) -> None:
    """Refuse what PyTorch refuses of the modes that repeat elements."""
    shape, dims = input._array.shape, len(pad) // 2
    if not 1 <= dims <= 3 or len(shape) not in (dims + 1, dims + 2):
        raise NotImplementedError(
            f"Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now: mode {mode!r} pads the last "
            f"{dims} dimensions of a tensor of {dims + 1} or {dims + 2} dimensions, found {len(shape)}"
        )
    _check_sizes(shape, pad)
    for dim, (before, after) in enumerate(_pairs(pad), len(shape) - dims):
        length, most = shape[dim], max(before, after)
        kept = length + min(before, 0) + min(after, 0) if mode == "circular" else length
        if most > 0 and not length:
            raise RuntimeError(f"{mode} padding expects dimensions that are not empty, found {list(shape)}")
        if mode == "reflect" and most >= length:
            raise RuntimeError(
                "Padding size should be less than the corresponding input dimension, but got: padding "
                f"({before}, {after}) at dimension {dim} of input {list(shape)}"
            )
        if mode == "circular" and most > max(kept, 0):
            raise RuntimeError(
                f"Padding value causes wrapping around more than once: ({before}, {after}) at dimension {dim} of "
                f"input {list(shape)}"
            )


@composite(
    method=False,
    samples=each(
        on(real(2, 3), (1, 0, 2, 1)),
        on(real(3), (1, 1), "constant", 2.5),
        on(real(2, 4), (3, 2), "reflect"),
        on(real(1, 2, 3, 3), (1, 2, 0, 1), "reflect"),
        on(real(1, 2, 3), (2, 4), "replicate"),
        on(real(1, 2, 2, 2, 2), (1, 1, -1, 0, 2, 1), "replicate"),
        on(real(2, 3), (3, 1), "circular"),
        on(real(1, 4, 3), (1, -1, 2, 1), "circular"),
    ),
)
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """input made larger at both ends of its last dimensions.

    Args:
        input: any shape for "constant"; else (N, C, …) or (C, …) with 1 to 3 dimensions that are padded.
        pad: how much is added before and after, of the last dimension first; negative numbers remove.
        mode: "constant", "reflect" (mirrored at the outermost element), "replicate" (the outermost element again) or
            "circular" (from the other end).
        value: what is added in mode "constant"; 0 by default.

    Raises:
        RuntimeError: more padding than the mode or the dimension allows.
        NotImplementedError: a mode or number of dimensions that does not exist.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.functional.pad(torch.arange(3.0).reshape(1, 3), (2, 1), mode="reflect")
        tensor([[2., 1., 0., 1., 2., 1.]])
    """
    sizes = tuple(int(n) for n in pad)
    if mode == "constant":
        return constant_pad_nd(input, sizes, 0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument, found {value}')
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(
            f"Unrecognised padding mode {mode}: expected 'constant', 'reflect', 'replicate' or 'circular'"
        )
    _check_edges(input, sizes, mode)
    return edge_pad(input, sizes, mode)
