"""Fashion-MNIST: 70,000 images of clothes, read from the four files it is published in."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..tensors.tensor import Tensor
from ..utils.data.dataset import TensorDataset
from .idx import read_idx

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_SIZES = {"train": 60_000, "t10k": 10_000}
_HOW_TO_GET_IT = (
    "Get Fashion-MNIST in one of two ways. On Debian or Ubuntu: `apt install dataset-fashion-mnist`, which is then "
    "found without root. Anywhere: download the four *-ubyte.gz files that "
    "https://github.com/zalandoresearch/fashion-mnist links to into a folder, and say fashion_mnist(root=folder)"
)


def fashion_mnist(root: str | os.PathLike[str] | None = None, train: bool = True) -> TensorDataset:
    """Return 28x28 images of clothes and the class of each.

    The classes are T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag and ankle boot. The
    data set is H. Xiao, K. Rasul and R. Vollgraf, *Fashion-MNIST* (2017), https://arxiv.org/abs/1708.07747,
    MIT licence.

    Args:
        root: the folder with the published files, compressed or not, or one that torchvision downloaded into;
            the place of Debian's package ``dataset-fashion-mnist`` if not given.
        train: the 60,000 training images (the default) or, if False, the 10,000 for testing.

    Returns:
        Samples (image, label): float32 of shape (1, 28, 28) from 0 (white) to 1 (black), and int64 from 0 to
        9.

    Raises:
        FileNotFoundError: the files are not there; the message says how to get them.
        ValueError: a file is truncated, damaged or of another kind.
    """
    part = "train" if train else "t10k"
    folder = DEBIAN if root is None else Path(root)
    images_file, labels_file = (
        _find(folder, f"{part}-images-idx3-ubyte"),
        _find(folder, f"{part}-labels-idx1-ubyte"),
    )
    images, labels = read_idx(images_file), read_idx(labels_file)
    count = _SIZES[part]
    for array, file, shape in ((images, images_file, (count, 28, 28)), (labels, labels_file, (count,))):
        if array.shape != shape or array.dtype != np.uint8:
            raise ValueError(f"{file} holds a {array.dtype} array of shape {array.shape}, expected uint8 of {shape}")
    if labels.max() > 9:
        raise ValueError(f"{labels_file} is damaged: it has label {labels.max()}, expected 0 to 9")
    pixels = images[:, None].astype(np.float32) / 255
    return TensorDataset(Tensor._wrap(pixels), Tensor._wrap(labels.astype(np.int64)))


def _find(folder: Path, name: str) -> Path:
    """Return the file of that name in the folder or where torchvision puts it, compressed or not."""
    for place in (folder, folder / "FashionMNIST" / "raw"):
        for candidate in (place / name, place / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    raise FileNotFoundError(f"fashion_mnist: there is no {name} or {name}.gz in {folder}. {_HOW_TO_GET_IT}")
