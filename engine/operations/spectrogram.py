"""The short-time Fourier transform and its inverse: overlapping windowed frames, and adding them up again."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..batching import zeros
from ..registry import Array, composite, operation
from ..registry.samples import around, each, on, real
from ..tensors.tensor import Tensor
from .fourier import complex_transform, hermitian_transform, real_transform
from .matrices import type_name
from .shape import cat, stack

_PADS = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@operation(
    lambda g, x_shape, length, step: overlap_added(g, x_shape[-1], step),
    public=False,
    node_name="AsStridedBackward0",
    samples=each(on(real(2, 9), 4, 2), on(real(5), 5, 1)),
)
def frames(x: Array, length: int, step: int) -> Array:
    """The pieces of *length* of the last dimension, one beginning every *step*: (…, T, length)."""
    return np.lib.stride_tricks.sliding_window_view(x, length, axis=-1)[..., ::step, :].copy()


@operation(
    lambda g, x_shape, size, step: frames(g, x_shape[-1], step)[..., : x_shape[-2], :],
    public=False,
    node_name="UnfoldBackward0",
    samples=each(on(real(2, 3, 4), 9, 2), on(real(1, 5), 5, 1)),
)
def overlap_added(x: Array, size: int, step: int) -> Array:
    """Frames (…, T, length), one beginning every *step*, added up in a signal of *size*: the adjoint of ``frames``."""
    count, length = x.shape[-2:]
    result = zeros((*x.shape[:-2], size), x)
    if count <= length:
        for i in range(count):
            result[..., i * step : i * step + length] += x[..., i, :]
    else:
        span = (count - 1) * step + 1
        for j in range(length):
            result[..., j : j + span : step] += x[..., j]
    return result


def _padded(x: Tensor, pad: int, mode: str) -> Tensor:
    """The last dimension with *pad* numbers more at each end."""
    size = x.shape[-1]
    if mode == "constant":
        sides = Tensor._wrap(np.zeros((*x.shape[:-1], pad), x._array.dtype))
        return cat([sides, x, sides], -1)
    if mode not in _PADS:
        raise NotImplementedError(f"Unrecognised padding mode {mode}: it is constant, reflect, replicate or circular")
    if mode == "reflect" and pad >= size:
        raise RuntimeError(
            f"Argument #4: Padding size should be less than the corresponding input dimension, but got: padding ({pad}, {pad}) "
            f"at dimension {x.ndim - 1} of input {list(x.shape)}"
        )
    index = np.pad(np.arange(size), pad, mode=_PADS[mode])  # type: ignore[call-overload]
    picked: Tensor = x[..., Tensor._wrap(index)]
    return picked


def _full_window(name: str, window: Tensor | None, win_length: int, n_fft: int, like: Tensor) -> Tensor:
    """The window in the middle of *n_fft* zeros; ones without one."""
    real_type = np.absolute(like._array[:0]).dtype
    if window is None:
        window = Tensor._wrap(np.ones(win_length, real_type))
    elif window.ndim != 1 or window.shape[0] != win_length:
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={win_length}, but got window with size "
            f"{list(window.shape)}"
        )
    if win_length == n_fft:
        return window
    left = (n_fft - win_length) // 2
    zeros = [Tensor._wrap(np.zeros(n, window._array.dtype)) for n in (left, n_fft - win_length - left)]
    return cat([zeros[0], window, zeros[1]])


def _check_lengths(name: str, n_fft: int, hop_length: int, win_length: int) -> None:
    if hop_length <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop_length}")
    if not 0 < win_length <= n_fft:
        raise RuntimeError(
            f"{name}: expected 0 < win_length <= n_fft, but got win_length={win_length} and n_fft={n_fft}"
        )


def _parts(function: Any) -> Any:
    return lambda x, *rest, **named: tuple(
        part for y in [function(x, *rest, return_complex=True, **named)] for part in (np.real(y), np.real(y * -1j))
    )


@composite(
    samples=each(
        around(_parts, on(real(2, 12), 4)),
        around(_parts, on(real(12), 4, 2, 3, center=False, onesided=False, normalized=True)),
    )
)
def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Tensor | None = None,
    center: bool = True, pad_mode: str = "reflect", normalized: bool = False, onesided: bool | None = None,
    return_complex: bool | None = None, align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    """The Fourier transforms of overlapping pieces of a signal, (L) or (B, L): (…, N, T), N frequencies at T times.

    A piece has *n_fft* samples, one begins every *hop_length* (n_fft / 4) samples and is weighed by *window*, of
    *win_length* (n_fft), in its middle. *center*: pieces are centred at their times, the signal padded with *pad_mode*.
    *normalized*: divided by √n_fft. *onesided* (for a real signal and window): N is n_fft / 2 + 1. Without
    *return_complex* a last dimension of 2 holds real and imaginary parts.
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    if input._array.dtype.kind not in "fc":
        raise RuntimeError(
            f"stft: expected a tensor of floating point or complex values, got {type_name(input._array)}"
        )
    if input.ndim not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, found {input.ndim}D")
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None and not is_complex:
        raise RuntimeError(
            "stft requires the return_complex parameter be given for real inputs: give return_complex=True"
        )
    one_sided = not is_complex if onesided is None else onesided
    if one_sided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    signal = _padded(input, n_fft // 2, pad_mode) if center else input
    if not 0 < n_fft <= signal.shape[-1]:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {signal.shape[-1]}, but got n_fft={n_fft}")
    _check_lengths("stft", n_fft, hop, size)
    pieces = frames(signal, n_fft, hop) * _full_window("stft", window, size, n_fft, input)
    norm = "ortho" if normalized else None
    if one_sided:
        spectrum = real_transform(pieces, -1, norm, True)
    else:
        spectrum = complex_transform(pieces if is_complex else pieces + 0j, (-1,), norm, True)
    result = spectrum.transpose(-1, -2)
    return result if return_complex or return_complex is None else stack([np.real(result), np.real(result * -1j)], -1)


def _from_parts(function: Any) -> Any:
    return lambda x, *rest, **named: function(x[..., 0] + x[..., 1] * 1j, *rest, **named)


def _expected(n_fft: int, frequencies: int, one_sided: bool) -> None:
    wanted = n_fft // 2 + 1 if one_sided else n_fft
    if frequencies != wanted:
        raise RuntimeError(
            f"istft: expected the frequency dimension (3rd to the last) of the input tensor to match n_fft "
            f"{'/ 2 + 1 ' if one_sided else ''}when onesided={one_sided}, but got {frequencies} where it must be {wanted}"
        )


@composite(
    samples=each(
        around(_from_parts, on(real(3, 5, 2), 4)), around(_from_parts, on(real(2, 4, 5, 2), 4, onesided=False, normalized=True)),
    )
)  # fmt: skip
def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Tensor | None = None,
    center: bool = True, normalized: bool = False, onesided: bool | None = None, length: int | None = None,
    return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal, (L) or (B, L), whose ``stft`` with the same arguments is input, (N, T) or (B, N, T), complex.

    *length*: cut off or zero-padded to so many samples. RuntimeError where the windows leave some sample untouched.
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    if input.ndim not in (2, 3):
        raise RuntimeError(f"istft: expected a tensor with 2 or 3 dimensions, found {input.ndim}")
    if not input._array.size:
        raise RuntimeError("istft: input tensor cannot be empty.")
    one_sided = input.shape[-2] != n_fft if onesided is None else onesided
    _expected(n_fft, input.shape[-2], one_sided)
    _check_lengths("istft", n_fft, hop, size)
    weights = _full_window("istft", window, size, n_fft, input)
    spectrum, norm = input.transpose(-1, -2), "ortho" if normalized else None
    if return_complex:
        if one_sided:
            raise RuntimeError("Cannot have onesided output if window or input is complex")
        pieces = complex_transform(spectrum, (-1,), norm, False)
    else:
        half = spectrum if one_sided else spectrum[..., : n_fft // 2 + 1]
        pieces = hermitian_transform(half, -1, n_fft, norm, False)
    return _added_up(pieces, weights, hop, center, length)


def _added_up(pieces: Tensor, weights: Tensor, hop: int, center: bool, length: int | None) -> Tensor:
    """The weighted pieces added up, divided by the sum of squared weights at each sample."""
    count, n_fft = tuple(pieces.shape)[-2:]
    total = n_fft + hop * (count - 1)
    signal = overlap_added(pieces * weights, total, hop)
    envelope = overlap_added((weights * weights).expand((count, n_fft)), total, hop)
    start = n_fft // 2 if center else 0
    end = total - n_fft // 2 if center else total
    end = end if length is None else min(start + length, total)
    envelope = envelope[start:end]
    lowest = float(np.min(np.absolute(envelope._array), initial=np.inf))
    if lowest <= 1e-11:
        raise RuntimeError(f"window overlap add min: {lowest}: the windows leave some sample of the signal untouched")
    result = signal[..., start:end] / envelope
    if length is not None and end - start < length:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded with zeros in the tail. Please "
            "check your center and hop_length settings.",
            stacklevel=2,
        )
        missing = Tensor._wrap(np.zeros((*result.shape[:-1], length - (end - start)), result._array.dtype))
        return cat([result, missing], -1)
    return result
