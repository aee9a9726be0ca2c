"""Turning what NumPy says of bad operands into PyTorch's kind of error, with what was asked and what was found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

Shape = tuple[int, ...]


class LinAlgError(RuntimeError):
    """A matrix for which what was asked does not exist: a singular one to invert, say."""


def translated(name: str, error: Exception, arrays: Sequence[Any]) -> Exception:
    """The exception that PyTorch would raise where the forward of operation *name* raised *error* on *arrays*."""
    found = [a for a in arrays if isinstance(a, np.ndarray)]
    if isinstance(error, np.exceptions.AxisError):
        return _bad_dimension(name, error)
    if isinstance(error, ValueError) and "broadcast" in str(error):
        return RuntimeError(_mismatch(name, [a.shape for a in found]))
    if type(error) is IndexError and found:
        return IndexError(_index_text(str(error), found[0]))
    if isinstance(error, TypeError) and "ufunc" in str(error):
        kinds = ", ".join(a.dtype.name for a in found)
        return NotImplementedError(f"{name}() is not implemented for operands of type {kinds}: convert them first")
    if isinstance(error, TypeError) and "numpy boolean" in str(error):
        return refused(name, "b")
    return error


def name_call(error: Exception, name: str, operands: Sequence[str], place: object) -> None:
    """Add to the message of *error* the operation it arose in, the shapes of its *operands*, and the user's line.

    Only once, by the innermost operation, and only where the message is one text.
    """
    if len(error.args) != 1 or type(error.args[0]) is not str or "_named" in error.__dict__:
        return
    error.__dict__["_named"] = True
    text = error.args[0]
    shapes = " and ".join(operand for operand in operands if operand)
    told = f"At {place}" if f"in {name}() of " in text else f"In {name}(){' of ' if shapes else ''}{shapes}, at {place}"
    error.args = (f"{text.rstrip('.')}. {told}",)


def refused(name: str, kind: str) -> RuntimeError:
    """What is raised where the operation *name* was given operands of a *kind* it does not take: "b" bool, "c" complex."""
    if kind == "c":
        return NotImplementedError(
            f"{name}() is not implemented for complex numbers, which have no order: compare .abs(), .real or .imag"
        )
    return RuntimeError(
        f"{name}() of a bool tensor is not supported: use ~ or logical_not() to invert a mask, ^ or logical_xor() for the "
        "difference of two"
    )


def _bad_dimension(name: str, error: np.exceptions.AxisError) -> IndexError:
    ndim = error.ndim or 0
    low, high = (-ndim, ndim - 1) if ndim else (-1, 0)
    return IndexError(
        f"Dimension out of range (expected to be in range of [{low}, {high}], but got {error.axis}), in {name}()"
    )


def _index_text(text: str, indexed: np.ndarray[Any, Any]) -> str:
    """What NumPy says of an index, in PyTorch's words."""
    words = text.replace(" for axis ", " for dimension ")
    mask = re.match(r"boolean index did not match .* along axis (\d+);.*boolean axis is (\d+)", text)
    if mask:
        words = (
            f"The shape of the mask [{mask[2]}] at index {mask[1]} does not match the shape of the indexed tensor "
            f"{list(indexed.shape)} at index {mask[1]}"
        )
    many = re.match(r"too many indices for array: array is (\d+)-dimensional, but (\d+) were indexed", text)
    return f"too many indices for tensor of dimension {many[1]}: {many[2]} were given" if many else words


def _mismatch(name: str, shapes: Sequence[Shape]) -> str:
    listed = " and ".join(str(list(s)) for s in shapes)
    for a, b in pairwise(shapes):
        for back in range(1, min(len(a), len(b)) + 1):
            if a[-back] != b[-back] and 1 not in (a[-back], b[-back]):
                dim = max(len(a), len(b)) - back
                return (
                    f"The size of tensor a ({a[-back]}) must match the size of tensor b ({b[-back]}) at non-singleton "
                    f"dimension {dim}, in {name}() of shapes {listed}"
                )
    return f"{name}() cannot broadcast shapes {listed} together"


def normal_dim(dim: int, ndim: int) -> int:
    """*dim* counted from the front; IndexError with PyTorch's words if a tensor of *ndim* dimensions has none such."""
    span = max(ndim, 1)
    if not -span <= dim < span:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-span}, {span - 1}], but got {dim})")
    return dim % span


def normal_dims(dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """The dimensions *dim* names, counted from the front: all of them for None; RuntimeError if one comes twice.

    A number, without dimensions, takes 0 and -1, which name nothing.
    """
    if dim is None:
        return tuple(range(ndim))
    dims = tuple(normal_dim(d, ndim) for d in ((dim,) if isinstance(dim, int) else tuple(dim)))
    if len(set(dims)) != len(dims):
        raise RuntimeError(
            f"dim {next(d for d in dims if dims.count(d) > 1)} appears multiple times in the list of dims"
        )
    return dims if ndim else ()
