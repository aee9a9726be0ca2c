"""Window functions of signal processing, symmetric or periodic, under the names of ``signal.windows``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..registry import Array, composite
from ..tensors.tensor import Tensor


def _window(
    name: str, shape: Callable[[int], Array], length: int, sym: bool, dtype: Any, requires_grad: bool
) -> Tensor:
    """The first *length* values of *shape*, which is told how many steps the whole window has."""
    target = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    if target not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {target}")
    if isinstance(length, bool) or not isinstance(length, int):
        raise TypeError(f"{name} expects a whole number as window length, got M={length!r}")
    if length < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={length}")
    values = shape(length - 1 if sym else length)[:length] if length > 1 else np.ones(length)
    return Tensor._wrap(values.astype(target.numpy)).requires_grad_(requires_grad)


def _cosines(coefficients: Sequence[float]) -> Callable[[int], Array]:
    """Σ (-1)^i a_i cos(2π i n / steps)."""

    def shape(steps: int) -> Array:
        angles = np.arange(steps + 1) * (2.0 * math.pi / steps)
        total = np.zeros(steps + 1)
        for i, a in enumerate(coefficients):
            total += (-a if i % 2 else a) * np.cos(i * angles)
        return total

    return shape


@composite(namespace="signal.windows", method=False)
def general_cosine(
    M: int, *, a: Sequence[float], sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """*M* values of Σ (-1)^i a_i cos(2π i n / (M - 1)); periodic, with M in place of M - 1, if not *sym*.

    TypeError if *a* is no list or tuple, ValueError if it is empty or *M* negative; as for the other windows *dtype* is
    float32 or float64.
    """
    if not isinstance(a, (list, tuple)):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    return _window("general_cosine", _cosines(a), M, sym, dtype, requires_grad)


@composite(namespace="signal.windows", method=False)
def general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """*alpha* - (1 - *alpha*) cos(2π n / (M - 1)); periodic if not *sym*."""
    return _window("general_hamming", _cosines([alpha, 1.0 - alpha]), M, sym, dtype, requires_grad)


@composite(namespace="signal.windows", method=False)
def hamming(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.54 - 0.46 cos(2π n / (M - 1)); periodic if not *sym*."""
    return _window("hamming", _cosines([0.54, 0.46]), M, sym, dtype, requires_grad)


@composite(namespace="signal.windows", method=False)
def hann(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.5 - 0.5 cos(2π n / (M - 1)); periodic if not *sym*.

    >>> import allgrad as torch
    >>> torch.signal.windows.hann(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    return _window("hann", _cosines([0.5, 0.5]), M, sym, dtype, requires_grad)


@composite(namespace="signal.windows", method=False)
def blackman(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.42 - 0.5 cos(2π n / (M - 1)) + 0.08 cos(4π n / (M - 1)); periodic if not *sym*."""
    return _window("blackman", _cosines([0.42, 0.5, 0.08]), M, sym, dtype, requires_grad)


@composite(namespace="signal.windows", method=False)
def nuttall(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Nuttall's minimum 4-term Blackman-Harris window (IEEE Trans. ASSP 29, 1981); periodic if not *sym*."""
    return _window("nuttall", _cosines([0.3635819, 0.4891775, 0.1365995, 0.0106411]), M, sym, dtype, requires_grad)


@composite(namespace="signal.windows", method=False)
def bartlett(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """1 - |2 n / (M - 1) - 1|, a triangle; periodic if not *sym*."""
    return _window(
        "bartlett",
        lambda steps: 1.0 - np.absolute(np.arange(steps + 1) * (2.0 / steps) - 1.0),
        M, sym, dtype, requires_grad,
    )  # fmt: skip


@composite(namespace="signal.windows", method=False)
def cosine(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """sin(π (n + 0.5) / M), half a period of the sine; with M + 1 if not *sym*."""
    return _window(
        "cosine",
        lambda steps: np.sin((np.arange(steps + 1) + 0.5) * (math.pi / (steps + 1))),
        M, sym, dtype, requires_grad,
    )  # fmt: skip


@composite(namespace="signal.windows", method=False)
def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """exp(-|n - *center*| / *tau*), the center in the middle by default (it must be if *sym*); ValueError for tau <= 0."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    return _window(
        "exponential",
        lambda steps: np.exp(-np.absolute(np.arange(steps + 1) - (steps / 2 if center is None else center)) / tau),
        M, sym, dtype, requires_grad,
    )  # fmt: skip


@composite(namespace="signal.windows", method=False)
def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """exp(-((n - (M - 1) / 2) / *std*)² / 2); periodic if not *sym*; ValueError for std <= 0."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return _window(
        "gaussian",
        lambda steps: np.exp(-0.5 * ((np.arange(steps + 1) - steps / 2) / std) ** 2),
        M, sym, dtype, requires_grad,
    )  # fmt: skip


def _kaiser(beta: float) -> Callable[[int], Array]:
    def shape(steps: int) -> Array:
        place = np.linspace(-1.0, 1.0, steps + 1)
        return np.i0(beta * np.sqrt(1.0 - place * place)) / np.i0(beta)

    return shape


@composite(namespace="signal.windows", method=False)
def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """i0(*beta* √(1 - (2 n / (M - 1) - 1)²)) / i0(beta); periodic if not *sym*; ValueError for beta < 0."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _window("kaiser", _kaiser(beta), M, sym, dtype, requires_grad)


# --- the older names, in the main namespace: periodic by default


def _older(name: str, shape: Callable[[int], Array], length: int, periodic: bool, options: dict[str, Any]) -> Tensor:
    unknown = set(options) - {"dtype", "layout", "device", "pin_memory", "requires_grad"}
    if unknown:
        raise TypeError(f"{name}() got an unexpected keyword argument {sorted(unknown)[0]!r}")
    try:
        return _window(name, shape, length, not periodic, options.get("dtype"), options.get("requires_grad", False))
    except ValueError as error:
        raise RuntimeError(str(error).replace("window length, got M=", "window_length, got window_length=")) from None


@composite(method=False)
def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """The Hann window, periodic by default; *options* are dtype, requires_grad and device."""
    return _older("hann_window", _cosines([0.5, 0.5]), window_length, periodic, options)


@composite(method=False)
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, **options: Any
) -> Tensor:
    """*alpha* - *beta* cos(2π n / N), periodic by default; *options* are dtype, requires_grad and device."""
    return _older("hamming_window", _cosines([alpha, beta]), window_length, periodic, options)


@composite(method=False)
def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """The Blackman window, periodic by default; *options* are dtype, requires_grad and device."""
    return _older("blackman_window", _cosines([0.42, 0.5, 0.08]), window_length, periodic, options)


@composite(method=False)
def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """The triangular window, periodic by default; *options* are dtype, requires_grad and device."""
    return _older(
        "bartlett_window",
        lambda steps: 1.0 - np.absolute(np.arange(steps + 1) * (2.0 / steps) - 1.0),
        window_length, periodic, options,
    )  # fmt: skip


@composite(method=False)
def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any) -> Tensor:
    """The Kaiser window, periodic by default; *options* are dtype, requires_grad and device."""
    return _older("kaiser_window", _kaiser(beta), window_length, periodic, options)
