"""Discrete Fourier transforms: of complex, real and Hermitian signals, along one, two or all dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..batching import zeros
from ..errors import normal_dim, normal_dims
from ..registry import Array, composite, operation
from ..registry.samples import Samples, around, each, on, real
from ..tensors.tensor import Tensor
from .matrices import type_name
from .rearranging import roll

_NORMS = (None, "backward", "ortho", "forward")


def _fitted_index(before: int, after: int, dim: int, ndim: int) -> tuple[slice, ...]:
    return (slice(None),) * (dim % ndim) + (slice(0, min(before, after)),)


@operation(
    lambda g, x_shape, dim: fitted(g, dim, x_shape[dim]),
    public=False,
    node_name="ConstantPadNdBackward0",
    samples=each(on(real(2, 3), 1, 5), on(real(4, 2), 0, 3)),
)
def fitted(x: Array, dim: int, size: int) -> Array:
    """x cut off, or filled up with zeros, to *size* along *dim*."""
    shape = list(x.shape)
    shape[dim] = size
    result = zeros(shape, x)
    index = _fitted_index(x.shape[dim], size, dim, x.ndim)
    result[index] = x[index]
    return result


def _complex_parts(function: Callable[..., Any]) -> Callable[..., Any]:
    """*function* of a complex tensor made of the two numbers along the last dimension, as real tensors."""

    def called(pairs: Any, *rest: Any, **named: Any) -> Any:
        result = function(pairs[..., 0] + pairs[..., 1] * 1j, *rest, **named)
        return (np.real(result), np.real(result * -1j)) if result.is_complex() else result

    return called


def _real_results(function: Callable[..., Any]) -> Callable[..., Any]:
    """*function* of a real tensor, its complex result as two real tensors."""

    def called(x: Any, *rest: Any, **named: Any) -> Any:
        result = function(x, *rest, **named)
        return np.real(result), np.real(result * -1j)

    return called


@operation(
    lambda g, dims, norm, forward: complex_transform(g, dims, norm, forward),  # its matrix is symmetric
    public=False,
    node_name="FftC2CBackward0",
    samples=around(
        _complex_parts,
        each(
            on(real(3, 4, 2), (-1,), None, True),
            on(real(3, 4, 2), (0, 1), "ortho", False),
            on(real(5, 2), (0,), "forward", True),
        ),
    ),
)
def complex_transform(x: Array, dims: tuple[int, ...], norm: str | None, forward: bool) -> Array:
    """The transform of complex signals along *dims*, or its inverse."""
    if not dims:
        return x.copy()
    return (np.fft.fftn if forward else np.fft.ifftn)(x, axes=dims, norm=norm)  # type: ignore[arg-type]


def _real_transform_rule(g: Any, x_shape: tuple[int, ...], dim: int, norm: str | None, forward: bool) -> Any:
    return np.real(complex_transform(fitted(g, dim, x_shape[dim]), (dim,), norm, forward))


@operation(
    _real_transform_rule,
    public=False,
    node_name="FftR2CBackward0",
    samples=around(
        _real_results,
        each(on(real(3, 4), -1, None, True), on(real(3, 4), 0, "ortho", False), on(real(1), 0, "forward", True)),
    ),
)
def real_transform(x: Array, dim: int, norm: str | None, forward: bool) -> Array:
    """The first half of the transform of real signals along *dim* (of the inverse one if not *forward*)."""
    return (np.fft.rfft if forward else np.fft.ihfft)(x, axis=dim, norm=norm)  # type: ignore[arg-type]


def _hermitian_transform_rule(g: Any, dim: int, size: int, norm: str | None, forward: bool) -> Any:
    """All frequencies but 0 and the highest stand for their mirror images too."""
    half = real_transform(g, dim, norm, forward)
    shape = tuple(half.shape)
    place = np.arange(shape[dim])
    twice = (place > 0) & (2 * place != size)
    around_dim = (slice(None),) + (None,) * (len(shape) - 1 - dim % len(shape))
    return np.where(twice[around_dim], 2.0 * half, half)


@operation(
    _hermitian_transform_rule,
    public=False,
    node_name="FftC2RBackward0",
    samples=around(
        _complex_parts,
        each(
            on(real(2, 3, 2), -1, 4, None, False),
            on(real(3, 2, 2), 0, 5, "ortho", True),
            on(real(3, 2), 0, 4, "forward", False),
        ),
    ),
)
def hermitian_transform(x: Array, dim: int, size: int, norm: str | None, forward: bool) -> Array:
    """The real transform, of *size* along *dim*, of Hermitian signals given by their first half (inverse if not *forward*)."""
    return (np.fft.hfft if forward else np.fft.irfft)(x, size, dim, norm)  # type: ignore[arg-type]


# --- what the public functions share


def _as_complex(name: str, input: Tensor) -> Tensor:
    if input.is_complex():
        return input
    x = _as_floating(name, input)
    converted: Tensor = x.to(dtypes.complex64 if x.dtype is dtypes.float32 else dtypes.complex128)
    return converted


def _as_floating(name: str, input: Tensor) -> Tensor:
    if input.dtype is dtypes.float16:
        raise RuntimeError(f"{name}: Unsupported dtype Half: convert it with .float()")
    if input.is_floating_point() or input.is_complex():
        return input
    converted: Tensor = input.to(dtypes.get_default_dtype())
    return converted


def _as_real(name: str, input: Tensor) -> Tensor:
    if input.is_complex():
        raise RuntimeError(
            f"{name} expects a real input tensor, but got {type_name(input._array)}: take .real or {name[1:]}"
        )
    return _as_floating(name, input)


def _check_norm(norm: str | None) -> None:
    if norm not in _NORMS:
        raise RuntimeError(f'Invalid normalization mode: "{norm}": it is "backward", "ortho" or "forward"')


def _check_size(size: int) -> None:
    if size < 1:
        raise RuntimeError(f"Invalid number of data points ({size}) specified")


def _to_size(input: Tensor, n: int | None, dim: int) -> Tensor:
    """input with *n* numbers along *dim*, if it has not."""
    size = input.shape[dim] if n is None else n
    _check_size(size)
    return input if input.shape[dim] == size else fitted(input, dim, size)


def _sizes_and_dims(
    input: Tensor, s: Sequence[int] | None, dim: int | Sequence[int] | None
) -> tuple[list[int | None], tuple[int, ...]]:
    """The size asked for along each dimension (None: as it is), and the dimensions."""
    if s is not None and isinstance(s, int):
        s = (s,)
    if isinstance(dim, int):
        dim = (dim,)
    if dim is not None and s is not None and len(dim) != len(s):
        raise RuntimeError("When given, dim and shape arguments must have the same length")
    if dim is None and s is not None:
        if len(s) > input.ndim:
            raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has {input.ndim} dimensions.")
        dim = range(input.ndim - len(s), input.ndim)
    listed = tuple(range(input.ndim)) if dim is None else tuple(normal_dim(d, input.ndim) for d in dim)
    if len(set(listed)) != len(listed):
        raise RuntimeError("FFT dims must be unique")
    sizes: list[int | None] = [None] * len(listed) if s is None else [None if n == -1 else n for n in s]
    return sizes, listed


def _fit_all(input: Tensor, sizes: Sequence[int | None], dims: Sequence[int]) -> Tensor:
    for n, d in zip(sizes, dims, strict=True):
        input = _to_size(input, n, d)
    return input


def _complex_along(name: str, input: Tensor, s: Any, dim: Any, norm: str | None, forward: bool) -> Tensor:
    _check_norm(norm)
    sizes, dims = _sizes_and_dims(input, s, dim)
    return complex_transform(_fit_all(_as_complex(name, input), sizes, dims), dims, norm, forward)


def _from_real(name: str, input: Tensor, s: Any, dim: Any, norm: str | None, forward: bool) -> Tensor:
    """Half of the transform along the last of the dimensions, then the complex one along the others."""
    _check_norm(norm)
    x = _as_real(name, input)
    sizes, dims = _sizes_and_dims(x, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    half = real_transform(_fit_all(x, sizes, dims), dims[-1], norm, forward)
    return complex_transform(half, dims[:-1], norm, forward) if dims[:-1] else half


def _to_real(name: str, input: Tensor, s: Any, dim: Any, norm: str | None, forward: bool) -> Tensor:
    """The complex transform along all but the last of the dimensions, then the real one along that."""
    _check_norm(norm)
    x = _as_complex(name, input)
    sizes, dims = _sizes_and_dims(x, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    last = dims[-1]
    size = 2 * (x.shape[last] - 1) if sizes[-1] is None else sizes[-1]
    _check_size(size)
    x = _fit_all(x, [*sizes[:-1], size // 2 + 1], dims)
    x = complex_transform(x, dims[:-1], norm, forward) if dims[:-1] else x
    return hermitian_transform(x, last, size, norm, forward)


def _dim(input: Tensor, dim: int) -> tuple[int]:
    if not input.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return (normal_dim(dim, input.ndim),)


Transform = Callable[..., Tensor]

_TWO = 'Along the dimensions *dim*, cut off or zero-padded to the sizes *s*; *norm*: "backward", "ortho" or "forward".'
_ONE = _TWO.replace("dimensions *dim*", "dimension *dim*").replace("sizes *s*", "size *n*")


def _family(
    name: str, along: Callable[..., Tensor], forward: bool, says: str, samples: Samples
) -> tuple[Transform, ...]:
    """Register ``fft.<name>``, ``<name>2`` and ``<name>n``."""

    def one(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
        return along(name, input, None if n is None else (n,), _dim(input, dim), norm, forward)

    def two(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
        return along(name + "2", input, s, dim, norm, forward)

    def several(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
        return along(name + "n", input, s, dim, norm, forward)

    made = []
    several_says = {"2": " over two dimensions", "n": " over several dimensions, by default all"}
    for function, suffix in ((one, ""), (two, "2"), (several, "n")):
        function.__name__ = function.__qualname__ = name + suffix
        function.__module__ = "allgrad.fft"
        function.__doc__ = f"{says}{several_says.get(suffix, '')}. {_TWO if suffix else _ONE}"
        made.append(composite(out=True, namespace="fft", method=False, samples=samples)(function))
    return tuple(made)


_OF_REAL = around(_real_results, on(real(3, 4)))
_OF_COMPLEX = each(_OF_REAL, around(_complex_parts, on(real(3, 4, 2))))
_TO_REAL = around(_complex_parts, on(real(3, 4, 2)))

fft, fft2, fftn = _family("fft", _complex_along, True, "The discrete Fourier transform", _OF_COMPLEX)
ifft, ifft2, ifftn = _family(
    "ifft", _complex_along, False, "The inverse of the discrete Fourier transform", _OF_COMPLEX
)
rfft, rfft2, rfftn = _family("rfft", _from_real, True, "The first half of the transform of real input", _OF_REAL)
irfft, irfft2, irfftn = _family("irfft", _to_real, False, "The inverse of rfft, real", _TO_REAL)
hfft, hfft2, hfftn = _family(
    "hfft", _to_real, True, "The real transform of Hermitian input given by its first half", _TO_REAL
)
ihfft, ihfft2, ihfftn = _family("ihfft", _from_real, False, "The inverse of hfft, its first half", _OF_REAL)


def _shifted(input: Tensor, dim: Any, backwards: bool) -> Tensor:
    dims = normal_dims(dim, input.ndim)
    steps = tuple(-(input.shape[d] // 2) if backwards else input.shape[d] // 2 for d in dims)
    return roll(input, steps, dims) if dims else input.clone()


@composite(namespace="fft", method=False, samples=each(on(real(5)), on(real(3, 4), 1)))
def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """input with the frequency 0 moved to the middle along *dim* (all dimensions)."""
    return _shifted(input, dim, backwards=False)


@composite(namespace="fft", method=False, samples=each(on(real(5)), on(real(3, 4), 1)))
def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of ``fftshift``."""
    return _shifted(input, dim, backwards=True)


def _frequencies(values: Array, d: float, n: int, dtype: Any, requires_grad: bool) -> Tensor:
    target = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    return Tensor._wrap((values / (n * d)).astype(target.numpy)).requires_grad_(requires_grad)


@composite(out=True, namespace="fft", method=False)
def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The frequencies of ``fft`` for *n* samples *d* apart: 0, 1, ..., -1 divided by n · d.

    >>> import allgrad as torch
    >>> torch.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return _frequencies(np.fft.fftfreq(n, 1.0 / n), d, n, dtype, requires_grad)


@composite(out=True, namespace="fft", method=False)
def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The frequencies of ``rfft`` for *n* samples *d* apart: 0, 1, ..., n / 2 divided by n · d."""
    return _frequencies(np.fft.rfftfreq(n, 1.0 / n), d, n, dtype, requires_grad)
