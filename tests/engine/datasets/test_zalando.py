"""Fashion-MNIST is read from its files, wherever they are, and missing or bad files are explained."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allgrad.datasets import fashion_mnist
from allgrad.datasets.idx import read_idx
from allgrad.datasets.zalando import DEBIAN
from allgrad.dtypes import float32, int64


def idx(array: Any) -> bytes:
    array = np.asarray(array)
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + bytes(array.astype(array.dtype.newbyteorder(">")).tobytes())


@pytest.fixture
def test_part(tmp_path: Path) -> tuple[Path, Any, Any]:
    """A folder with a random test part of the published size."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10_000, 28, 28), dtype=np.uint8)
    labels = rng.integers(0, 10, 10_000, dtype=np.uint8)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels), 1))
    return tmp_path, images, labels


def test_plain_and_compressed_files_are_read(test_part: tuple[Path, Any, Any]) -> None:
    folder, images, labels = test_part
    found = fashion_mnist(folder, train=False)
    assert found.tensors[0].shape == (10_000, 1, 28, 28)
    assert (found.tensors[0].dtype, found.tensors[1].dtype) == (float32, int64)
    assert np.array_equal(np.rint(found.tensors[0].numpy()[:, 0] * 255), images)
    assert found.tensors[0].numpy().max() == 1
    assert found.tensors[1].tolist() == labels.tolist()


def test_a_folder_of_torchvision_is_found(test_part: tuple[Path, Any, Any]) -> None:
    folder, _, _ = test_part
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in folder.glob("t10k*"):
        file.rename(raw / file.name)
    assert len(fashion_mnist(str(folder), train=False)) == 10_000


def test_missing_files_are_explained_with_both_ways_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        fashion_mnist(tmp_path)
    message = str(caught.value)
    assert f"there is no train-images-idx3-ubyte or train-images-idx3-ubyte.gz in {tmp_path}" in message
    assert "apt install dataset-fashion-mnist" in message
    assert "https://github.com/zalandoresearch/fashion-mnist" in message


def test_without_a_folder_debians_is_looked_at() -> None:
    if DEBIAN.is_dir():
        assert len(fashion_mnist(train=False)) == 10_000
    else:
        with pytest.raises(FileNotFoundError, match="/usr/share/datasets/fashion-mnist"):
            fashion_mnist()


def test_files_of_another_shape_or_with_impossible_labels_are_refused(
    test_part: tuple[Path, Any, Any],
) -> None:
    folder, images, labels = test_part
    labels_file = folder / "t10k-labels-idx1-ubyte.gz"
    labels_file.write_bytes(idx(labels + np.uint8(200)))
    with pytest.raises(ValueError, match=r"has label 209, expected 0 to 9"):
        fashion_mnist(folder, train=False)
    labels_file.write_bytes(idx(labels[:-1]))
    with pytest.raises(ValueError, match=r"uint8 array of shape \(9999,\), expected uint8 of \(10000,\)"):
        fashion_mnist(folder, train=False)
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(images.astype(np.int16)))
    with pytest.raises(ValueError, match=r"holds a >i2 array|holds a int16 array"):
        fashion_mnist(folder, train=False)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (0, 2)])
def test_arrays_of_every_type_and_shape_are_read(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    (tmp_path / "x").write_bytes(idx(array))
    assert read_idx(tmp_path / "x").tolist() == array.tolist()


def test_every_truncation_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for whole in (
        idx(np.arange(12, dtype=np.int16).reshape(3, 4)),
        gzip.compress(idx(np.zeros(9, np.uint8))),
    ):
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match=r"is truncated|is not an IDX file|is damaged"):
                read_idx(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04....", r"not an IDX file: it starts with b'PK\\x03\\x04'"),
        (b"\0\0\x07\x01\0\0\0\0", "not an IDX file"),
        (idx(np.zeros(3, np.uint8)) + b"xy", r"damaged: 2 bytes follow its \(3,\) array"),
        (b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff", "truncated: it has 12 bytes of at least"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(path)
