"""The types of results: PyTorch's promotion of tensors, 0-d tensors and Python numbers, and the edges of whole numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest

import allgrad
from allgrad import Tensor

NAMES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128"]
NUMBERS: list[Any] = [True, 2, 2.5, 1j]
OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow,
    "//": operator.floordiv, "%": operator.mod, "==": operator.eq, "<": operator.lt,
}  # fmt: skip


def of(library: Any, name: str, shape: tuple[int, ...]) -> Any:
    return library.ones(shape, dtype=getattr(library, name))


def kind(library: Any, function: Callable[[Any, Any], Any] | None, first: Any, second: Any) -> str:
    """The type of the result, or the class of the error (PyTorch's NotImplementedError is a RuntimeError too)."""
    try:
        found = library.result_type(first, second) if function is None else function(first, second).dtype
    except RuntimeError:
        return "RuntimeError"
    except TypeError as error:
        return type(error).__name__
    return str(found)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("symbol", ["result_type", *OPERATIONS])
def test_every_pair_of_types_promotes_as_in_pytorch(name: str, symbol: str) -> None:
    torch = pytest.importorskip("torch")
    function = OPERATIONS.get(symbol)
    for shape in ((2,), ()):
        for other in NAMES:
            for other_shape in ((2,), ()):
                kinds = tuple(
                    kind(lib, function, of(lib, name, shape), of(lib, other, other_shape)) for lib in (torch, allgrad)
                )
                assert kinds[0] == kinds[1] or _differs(symbol, name, other, kinds), (shape, other, other_shape)
        for number in NUMBERS:
            for turned in (False, True):
                pairs = [(of(lib, name, shape), number) for lib in (torch, allgrad)]
                found = [
                    kind(lib, function, *(pair[::-1] if turned else pair))
                    for lib, pair in zip((torch, allgrad), pairs, strict=True)
                ]
                assert found[0] == found[1] or _differs(symbol, name, number, tuple(found)), (shape, number, turned)


def _differs(symbol: str, name: str, other: Any, kinds: tuple[str, ...]) -> bool:
    """The deliberate differences: no half-precision complex type, and no powers of bools."""
    if "float16" in (name, other) and ("complex" in str(other) or "complex" in name or isinstance(other, complex)):
        return kinds[1] in ("torch.complex64", "RuntimeError", "torch.bool")
    return symbol == "**" and name == "bool" and other is True


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("float32", "float64 0-d", "float32"),
        ("int32", "int64 0-d", "int32"),
        ("int32", "float32 0-d", "float32"),
        ("int32", "float64 0-d", "float64"),
        ("float32 0-d", "float64 0-d", "float64"),
        ("uint8", "int8", "int16"),
        ("float16", "int64", "float16"),
        ("int64", 2.5, "float32"),
        ("uint8", 300, "uint8"),
        ("bool", 1, "int64"),
        ("float64", 1j, "complex128"),
        ("int8", 1j, "complex64"),
        ("float32", "complex128 0-d", "complex64"),
    ],
)
def test_dimensions_decide_before_zero_dimensions_before_numbers(first: str, second: Any, expected: str) -> None:
    def made(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        return of(allgrad, text.removesuffix(" 0-d"), () if text.endswith("0-d") else (2,))

    for a, b in ((first, second), (second, first)):
        result: Tensor = made(a) * made(b)
        assert result.dtype is getattr(allgrad, expected)
        assert allgrad.result_type(made(a), made(b)) is result.dtype


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        (lambda t: t([0], dtype=allgrad.uint8) - 1, [255]),
        (lambda t: t([100], dtype=allgrad.int8) + 100, [-56]),
        (lambda t: t([100], dtype=allgrad.uint8) + (-1), [99]),
        (lambda t: t([100], dtype=allgrad.int8) > 300, [True]),
        (lambda t: t([200], dtype=allgrad.uint8) > -1, [False]),
        (lambda t: t([3]) / t([2]), [1.5]),
        (lambda t: t([3]) / 0, [float("inf")]),
        (lambda t: t([-7, 7]) // 2, [-4, 3]),
        (lambda t: t([-7, 7]) % 3, [2, 1]),
        (lambda t: 7 % t([4, -4]), [3, -1]),
        (lambda t: 7 // t([2]), [3]),
        (lambda t: 2 ** t([3, -3]), [8, 0]),
        (lambda t: t([1, -1, -1, 2]) ** t([-1, -1, -2, -1]), [1, -1, 1, 0]),
        (lambda t: t([2, 3]) ** 2.0, [4.0, 9.0]),
        (lambda t: t([True, False]) + t([True, True]), [True, True]),
        (lambda t: t([True, False]) * 3, [3, 0]),
        (lambda t: ~t([1, 2]), [-2, -3]),
    ],
)
def test_whole_numbers_and_bools_at_their_edges(compute: Callable[[Any], Tensor], expected: list[Any]) -> None:
    assert compute(allgrad.tensor).tolist() == expected


@pytest.mark.parametrize(
    ("compute", "error", "complaint"),
    [
        (lambda t: t([True]) - t([True]), RuntimeError, r"use ~ or logical_not\(\) to invert a mask"),
        (lambda t: 1 - t([True]), RuntimeError, r"use ~ or logical_not\(\) to invert a mask"),
        (lambda t: t([True]) - 1, RuntimeError, "of a bool tensor is not supported"),
        (lambda t: -t([True]), RuntimeError, "of a bool tensor is not supported"),
        (lambda t: t([3]) // 0, RuntimeError, "ZeroDivisionError"),
        (lambda t: t([3]) % t([0]), RuntimeError, "ZeroDivisionError"),
        (lambda t: t([3]) ** -1, RuntimeError, "Integers to negative integer powers are not allowed"),
        (lambda t: t([True]) // t([True]), NotImplementedError, "not implemented for bool"),
        (lambda t: t([True]) ** t([True]), NotImplementedError, "not implemented for bool"),
        (lambda t: t([1.0]) & t([3]), NotImplementedError, "not implemented for operands of type float32"),
        (lambda t: t([1j]) < t([1.0]), NotImplementedError, "complex numbers, which have no order"),
        (lambda t: t([1.0]) >= 1j, NotImplementedError, "complex numbers, which have no order"),
        (lambda t: t([1]) + 2**70, OverflowError, "int too big to convert"),
    ],
)
def test_what_whole_numbers_and_bools_cannot_do(
    compute: Callable[[Any], Tensor], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        compute(allgrad.tensor)
