"""The digits that come with the package are all there, divided as documented, and attributed."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from allgrad.datasets import digits
from allgrad.dtypes import float32, int64


def test_images_and_labels_have_the_documented_types_and_ranges() -> None:
    for train, count in ((True, 1442), (False, 355)):
        images, labels = digits(train=train).tensors
        assert images.shape == (count, 1, 8, 8)
        assert labels.shape == (count,)
        assert (images.dtype, labels.dtype) == (float32, int64)
        assert (images.numpy().min(), images.numpy().max()) == (0, 1)
        assert set(labels.tolist()) == set(range(10))


def test_training_is_the_default_and_both_parts_together_are_the_published_1797() -> None:
    parts = [digits(), digits(train=False)]
    labels = np.concatenate([part.tensors[1].numpy() for part in parts])
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    ink = sum(int((part.tensors[0].numpy() * 16).sum(dtype=np.float64)) for part in parts)
    assert ink == 561718


def test_no_image_is_in_both_parts() -> None:
    training, testing = ({image.tobytes() for image in digits(train=t).tensors[0].numpy()} for t in (True, False))
    assert not training & testing


def test_every_fifth_image_of_a_digit_is_for_testing() -> None:
    with np.load(str(files("allgrad.datasets") / "digits.npz")) as stored:
        fours = stored["images"][stored["labels"] == 4]
    images, labels = digits(train=False).tensors
    assert (images.numpy()[labels.numpy() == 4, 0] * 16 == fours[4::5]).all()


def test_an_image_looks_like_its_label() -> None:
    images, labels = digits().tensors
    zero = images.numpy()[labels.tolist().index(0), 0]
    assert zero[3:5, 3:5].sum() < 0.2 < zero[3:5, 2].mean()


def test_the_licence_and_the_authors_are_named_beside_the_data() -> None:
    notice = (files("allgrad.datasets") / "digits.NOTICE.txt").read_text()
    for part in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0"):
        assert part in notice
        assert part in (digits.__doc__ or "")
