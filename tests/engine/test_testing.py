"""assert_close: what it lets pass, and PyTorch's words for what it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad as torch

A, B = torch.ones(4), torch.tensor([1.0, 1.0, 1.5, 2.0])
DIFFERENT = (
    "Tensor-likes are not close!\n\nMismatched elements: 2 / 4 (50.0%)\n"
    "Greatest absolute difference: 1.0 at index (3,) (up to 1e-05 allowed)\n"
    "Greatest relative difference: 0.5 at index (3,) (up to 1.3e-06 allowed)"
)
CASES: list[tuple[Any, Any, dict[str, Any], str]] = [
    (A, B, {}, DIFFERENT),
    ([A, A], [A, B], {}, DIFFERENT + "\n\nThe failure occurred for item [1]"),
    ({"k": (A, B)}, {"k": (A, A + 1)}, {}, "The failure occurred for item ['k'][1]"),
    (A, B.double(), {}, "The values for attribute 'dtype' do not match: torch.float32 != torch.float64."),
    (A, torch.ones(3), {}, "The values for attribute 'shape' do not match: torch.Size([4]) != torch.Size([3])."),
    (
        torch.tensor(1.0),
        torch.tensor(2.0),
        {},
        "Scalars are not close!\n\nExpected 2.0 but got 1.0.\nAbsolute difference: 1.0 (up to 1e-05 allowed)\n"
        "Relative difference: 0.5 (up to 1.3e-06 allowed)",
    ),
    (1, 2, {}, "Scalars are not equal!\n\nExpected 2 but got 1.\nAbsolute difference: 1\nRelative difference: 0.5"),
    (1.0, 1, {}, "The (d)types do not match: <class 'float'> != <class 'int'>."),
    ([A], [A, A], {}, "The length of the sequences mismatch: 1 != 2"),
    ({"a": A}, {"b": A}, {}, "Missing keys in the actual mapping: ['b']\nAdditional keys in the actual mapping: ['a']"),
    (
        torch.tensor([1, 2]),
        torch.tensor([1, 3]),
        {},
        "Tensor-likes are not equal!\n\nMismatched elements: 1 / 2 (50.0%)\nGreatest absolute difference: 1 at index (1,)\n"
        "Greatest relative difference: 0.3333333432674408 at index (1,)",
    ),
    (A, B, {"rtol": 0, "atol": 0}, "Tensor-likes are not equal!"),
    (A, B, {"msg": "oh"}, "oh"),
    (A, B, {"msg": lambda text: "X" + text}, "X" + DIFFERENT),
    (torch.tensor([float("nan")]), torch.tensor([float("nan")]), {}, "Greatest absolute difference: nan"),
    (True, False, {}, "Booleans mismatch: True is not False"),
    (torch.tensor([True]), torch.tensor([False]), {}, "Greatest relative difference: inf at index (0,)"),
    (torch.tensor([1 + 1j]), torch.tensor([1 + 2j]), {}, "Greatest absolute difference: 1.0 at index (0,)"),
    (
        torch.ones(2, 3),
        torch.ones(3, 2).t(),
        {"check_stride": True},
        "attribute 'stride()' do not match: (3, 1) != (1, 2)",
    ),
]


@pytest.mark.parametrize(("actual", "expected", "options", "message"), CASES, ids=range(len(CASES)))
def test_what_differs_is_told_in_pytorchs_words(actual: Any, expected: Any, options: Any, message: str) -> None:
    with pytest.raises(AssertionError) as raised:
        torch.testing.assert_close(actual, expected, **options)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("actual", "expected", "options"),
    [
        (A, A + 1e-6, {}),
        (A.half(), A.half() + 1e-3, {}),
        (A, A.double(), {"check_dtype": False}),
        (torch.tensor([float("nan")]), torch.tensor([float("nan")]), {"equal_nan": True}),
        (torch.tensor([float("inf")]), torch.tensor([float("inf")]), {}),
        (np.ones(2), np.ones(2), {}),
        ([1, {"a": (2.0, None)}], [1, {"a": (2.0, None)}], {}),
        (A, B, {"rtol": 0.5, "atol": 0}),
        (torch.zeros(0), torch.zeros(0), {}),
        (torch.tensor([250], dtype=torch.uint8), torch.tensor([255], dtype=torch.uint8), {"rtol": 0, "atol": 5}),
    ],
)
def test_what_is_close_passes(actual: Any, expected: Any, options: Any) -> None:
    torch.testing.assert_close(actual, expected, **options)


def test_what_cannot_be_compared_raises() -> None:
    with pytest.raises(TypeError, match="No comparison pair was able to handle inputs"):
        torch.testing.assert_close(A, "x")
    with pytest.raises(TypeError, match="No comparison pair was able to handle inputs"):
        torch.testing.assert_close(A, A.numpy())
    with pytest.raises(ValueError, match="but got no atol"):
        torch.testing.assert_close(A, A, rtol=1e-3)
    with pytest.raises(TypeError, match="are not of one class"):
        torch.testing.assert_close(torch.nn.Parameter(A), A, allow_subclasses=False)
