"""Shuffles: elements moved between the channels and the dimensions of images."""

from __future__ import annotations

from ..registry import composite
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .shape import permute, reshape


def _moved(input: Tensor, split: tuple[int, ...], order: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    """input (…, C, H, W) with its last three dimensions divided into *split*, permuted, and joined to *shape*."""
    batch = input._array.shape[:-3]
    count = len(batch)
    parts = permute(reshape(input, (*batch, *split)), (*range(count), *(count + i for i in order)))
    return reshape(parts, (*batch, *shape))


def _check_image(name: str, input: Tensor) -> tuple[int, ...]:
    shape = input._array.shape
    if len(shape) < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {len(shape)} dimension(s)"
        )
    return shape[-3:]


@composite(method=False, samples=each(on(real(1, 8, 2, 3), 2), on(real(9, 1, 2), 3)))
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Images (…, C · r², H, W) as (…, C, H · r, W · r), where r is *upscale_factor* (Shi et al. 2016).

    RuntimeError where r² does not divide the channels.

    >>> import allgrad as torch
    >>> torch.pixel_shuffle(torch.arange(4.0).reshape(4, 1, 1), 2)
    tensor([[[0., 1.],
             [2., 3.]]])
    """
    channels, height, width = _check_image("pixel_shuffle", input)
    r = upscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but "
            f"input.size(-3)={channels} is not divisible by {r * r}"
        )
    c = channels // (r * r)
    return _moved(input, (c, r, r, height, width), (0, 3, 1, 4, 2), (c, height * r, width * r))


@composite(method=False, samples=each(on(real(1, 2, 4, 6), 2), on(real(1, 3, 6), 3)))
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Images (…, C, H · r, W · r) as (…, C · r², H, W), where r is *downscale_factor*: the reverse of ``pixel_shuffle``.

    RuntimeError where r does not divide height and width.
    """
    channels, height, width = _check_image("pixel_unshuffle", input)
    r = downscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    for name, length in (("height", height), ("width", width)):
        if length % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but {name} {length} is not "
                f"divisible by {r}"
            )
    h, w = height // r, width // r
    return _moved(input, (channels, h, r, w, r), (0, 2, 4, 1, 3), (channels * r * r, h, w))


@composite(method=False, samples=each(on(real(1, 6, 2, 2), 3), on(real(2, 4, 3), 2)))
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, …) with the channels dealt anew: one of each of *groups* groups in turn (Zhang et al. 2018).

    RuntimeError where *groups* do not divide the channels.

    >>> import allgrad as torch
    >>> torch.channel_shuffle(torch.arange(4.0).reshape(1, 4, 1), 2).flatten()
    tensor([0., 2., 1., 3.])
    """
    shape = input._array.shape
    if len(shape) < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups: {groups}")
    if shape[1] % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {shape[1]} channels and {groups} groups."
        )
    parts = reshape(input, (shape[0], groups, shape[1] // groups, *shape[2:]))
    return reshape(permute(parts, (0, 2, 1, *range(3, len(shape) + 1))), shape)


@composite(method=False, samples=on(real(1, 4, 1, 2), 2))
def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Another name of :func:`channel_shuffle`."""
    return channel_shuffle(input, groups)
