"""The 1,797 handwritten digits of the UCI repository, which come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..tensors.tensor import Tensor
from ..utils.data.dataset import TensorDataset

_FILE = Path(__file__).with_name("digits.npz")


def digits(train: bool = True) -> TensorDataset:
    """Return 8x8 images of handwritten digits and which digit each is.

    The split is fixed: of every digit, in the order of the original file, each fifth image is for testing.
        That
    makes 1,442 images for training and 355 for testing, with all digits equally frequent in both.

    The data is the test part of E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*
    (1998), UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, licensed CC BY 4.0: every image
    counts the inked pixels in 4x4 blocks of a 32x32 bitmap, from 0 to 16. Here a pixel is that count divided
    by 16.

    Args:
        train: the training images (the default) or, if False, those for testing.

    Returns:
        Samples (image, label): float32 of shape (1, 8, 8) from 0 (blank) to 1 (ink), and int64 from 0 to 9.
        All at once they are ``images, labels = digits().tensors``.

    Example:
        >>> import allgrad as torch
        >>> images, labels = torch.datasets.digits(train=False).tensors
        >>> images.shape, labels[:5]
        (torch.Size([355, 1, 8, 8]), tensor([5, 0, 9, 8, 7]))
    """
    with np.load(_FILE) as stored:
        images, labels = stored["images"], stored["labels"]
    chosen = _is_for_training(labels) == train
    pixels = images[chosen, None].astype(np.float32) / 16
    return TensorDataset(Tensor._wrap(pixels), Tensor._wrap(labels[chosen].astype(np.int64)))


def _is_for_training(
    labels: np.ndarray[tuple[int], np.dtype[np.uint8]],
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    training = np.ones(len(labels), bool)
    for digit in range(10):
        training[np.flatnonzero(labels == digit)[4::5]] = False
    return training
