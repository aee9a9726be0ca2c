"""Matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.products import rows_times
from ..registry import Array, Arrays, composite, operation
from ..registry.nodes import reduce_to
from ..registry.operation import Promotion
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor, add_method
from .conversion import result_type

ARITHMETIC = Promotion.ARITHMETIC


@operation(
    lambda g, other: np.matmul(g, np.swapaxes(other, -1, -2)),
    lambda g, input: np.matmul(np.swapaxes(input, -1, -2), g),
    promotion=Promotion.ALIKE,
    broadcasts=True,
    node_name="MmBackward0",
    called="matmul",
    public=False,
    samples=each(
        on(real(3, 4), real(4, 2)),
        on(real(5, 3, 4), real(4, 2)),
        on(real(5, 3, 4), real(5, 4, 2)),
        on(real(2, 1, 3, 4), real(5, 4, 2)),
    ),
)
def matrix_product(input: Array, other: Array) -> Array:
    """The product of matrices in the last two dimensions, the others broadcast."""
    if input.shape[-1] != other.shape[-2]:
        raise RuntimeError(
            "mat1 and mat2 shapes cannot be multiplied "
            f"({'x'.join(map(str, input.shape))} and {'x'.join(map(str, other.shape))})"
        )
    return np.matmul(input, other)


@operation(
    lambda g, other: g * other,
    lambda g, input: g * input,
    promotion=Promotion.ALIKE,
    node_name="DotBackward0",
    samples=on(real(4), real(4)),
)
def dot(input: Array, other: Array) -> Array:
    """The sum of the products of two vectors."""
    if input.ndim != 1 or other.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {other.ndim}D tensors")
    if input.shape != other.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor {list(input.shape)} and src {list(other.shape)} to have the "
            "same number of elements"
        )
    return np.dot(input, other)


@composite(out=True,
    dunder="__matmul__",
    samples=each(
        on(real(3), real(3)), on(real(3, 4), real(4)), on(real(3), real(3, 4)), on(real(3, 4), real(4, 2)),
        on(real(2, 3, 4), real(4)), on(real(3), real(2, 3, 4)), on(real(2, 3, 4), real(4, 2)),
    ),
)  # fmt: skip
def matmul(input: Tensor, other: Any) -> Tensor:
    """The matrix product input @ other: of two vectors their dot product; leading dimensions broadcast.

    >>> import allgrad as torch
    >>> torch.tensor([[1., 2.]]) @ torch.tensor([[3.], [4.]])
    tensor([[11.]])
    """
    if isinstance(other, np.ndarray):
        return matmul_promoted(input, Tensor._wrap(other))
    if not isinstance(other, Tensor) or not isinstance(input, Tensor):
        wrong = other if isinstance(input, Tensor) else input
        raise TypeError(f"matmul(): argument must be Tensor, not {type(wrong).__name__}")
    left, right = input._array.ndim, other._array.ndim
    if left > 1 and right > 1:
        return matrix_product(input, other)
    if not left or not right:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {left}D and {right}D")
    if left == 1 and right == 1:
        return dot(input, other)
    if left == 1:
        return matrix_product(input.unsqueeze(0), other).squeeze(-2)
    return matrix_product(input, other.unsqueeze(1)).squeeze(-1)


def _rmatmul(self: Tensor, other: Any) -> Tensor:
    if isinstance(other, Tensor):
        product: Tensor = matmul(other, self)
        return product
    if not isinstance(other, np.ndarray):
        return NotImplemented
    return matmul_promoted(Tensor._wrap(other), self)


def matmul_promoted(left: Tensor, right: Tensor) -> Tensor:
    """The product of a tensor and what was a NumPy array, in their common type, as NumPy has it."""
    common = result_type(left, right)
    return matmul(left.to(common), right.to(common))


add_method("__rmatmul__", _rmatmul)


def _expect_dims(name: str, input: Tensor, other: Tensor, dims: int) -> None:
    for position, tensor in (("self", input), ("mat2", other)):
        if tensor._array.ndim != dims:
            raise RuntimeError(
                f"{name}: {position} must be a {dims}-D tensor, found {list(tensor.shape)}: matmul takes any"
            )


@composite(out=True, samples=on(real(3, 4), real(4, 2)))
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, (n, m) and (m, p)."""
    _expect_dims("mm", input, mat2, 2)
    return matrix_product(input, mat2)


@composite(out=True, samples=on(real(2, 3, 4), real(2, 4, 2)))
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of matrices pair by pair, (b, n, m) and (b, m, p)."""
    _expect_dims("bmm", input, mat2, 3)
    if input._array.shape[0] != mat2._array.shape[0]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{input.shape[0]}, {input.shape[2]}] "
            f"but got: [{mat2.shape[0]}, {mat2.shape[1]}], in bmm() of {list(input.shape)} and {list(mat2.shape)}"
        )
    return matrix_product(input, mat2)


@composite(out=True, samples=on(real(3, 4), real(4)))
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix (n, m) and a vector (m)."""
    if input._array.ndim != 2 or vec._array.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {input._array.ndim}, {vec._array.ndim}")
    return matmul(input, vec)


@composite(
    out=True,
    inplace=True,
    samples=each(on(real(3, 2), real(3, 4), real(4, 2)), on(real(2), real(3, 4), real(4, 2), beta=0.5, alpha=2.0)),
)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · input + alpha · (mat1 @ mat2)."""
    return added_to("addmm", input, mm(mat1, mat2), beta, alpha)


def added_to(name: str, input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """beta · input + alpha · *product*; with a *beta* of 0 even nan in input is forgotten."""
    shape = product._array.shape
    if input._array.shape != shape:
        try:
            fits = np.broadcast_shapes(input._array.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise RuntimeError(
                f"The expanded size of the tensor must match the existing size: {name}() cannot add an input of shape "
                f"{list(input.shape)} to a product of shape {list(shape)}"
            )
    if product._array.dtype.kind in "iu":  # PyTorch cuts the factors of whole numbers
        beta, alpha = int(beta), int(alpha)
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled
    return (input if beta == 1 else input * beta) + scaled


@composite(out=True, aliases=("ger",), samples=on(real(3), real(4)))
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Every product of an element of the vector input and one of *vec2*: (n, m)."""
    if input._array.ndim != 1 or vec2._array.ndim != 1:
        raise RuntimeError(f"outer: Expected 1-D argument self, but got {input._array.ndim}-D and {vec2._array.ndim}-D")
    return input.unsqueeze(1) * vec2


def _rows(x: Any) -> Any:
    """*x* as a matrix of its last dimension."""
    return np.reshape(x, (-1, tuple(x.shape)[-1]))


def _product(a: Any, b: Any, into: Array | None) -> Any:
    return np.matmul(a, b) if into is None else np.matmul(a, b, out=into)


@operation(
    lambda g, weight: np.matmul(g, weight),
    lambda g, input, *, into=None: _product(np.swapaxes(_rows(g), 0, 1), _rows(input), into),
    lambda g: np.sum(_rows(g), axis=0),
    promotion=Promotion.ALIKE,
    node_name="AddmmBackward0",
    called="linear",
    method=False,
    samples=each(
        on(real(3, 4), real(2, 4), real(2)), on(real(2, 3, 4), real(2, 4)), on(real(1, 4), real(2, 4), real(2)),
    ),
)  # fmt: skip
def linear_rows(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """input @ weightᵀ + bias for an input of at least two dimensions."""
    if input.shape[-1] != weight.shape[1]:
        rows = input.size // input.shape[-1] if input.shape[-1] else 0
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and {weight.shape[1]}x{weight.shape[0]})"
        )
    product = rows_times(input.reshape(-1, input.shape[-1]), weight.T, bias)
    return product.reshape(*input.shape[:-1], weight.shape[0])


@composite(out=True, method=False, samples=each(on(real(3, 4), real(2, 4), real(2)), on(real(4), real(2, 4), real(2))))
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weightᵀ + bias: (…, in) with a weight (out, in) and a bias (out) gives (…, out).

    >>> import allgrad as torch
    >>> torch.nn.functional.linear(torch.ones(1, 2), torch.ones(3, 2))
    tensor([[2., 2., 2.]])
    """
    if input._array.ndim > 1 and weight._array.ndim == 2:
        return linear_rows(input, weight, bias)
    product = matmul(input, weight.t())
    return product if bias is None else product + bias


@composite(
    method=False,
    samples=each(
        on("ij,jk->ik", real(3, 4), real(4, 2)),
        on("iij,j->i", real(3, 3, 2), real(2)),
        on("ii", real(3, 3)),
        on("...i,...i->...", real(2, 3), real(1, 3)),
    ),
)
def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products in Einstein's notation, one operand after the other.

    Also as ``einsum(a, [0, 1], b, [1, 2], [0, 2])``, with lists of numbers for letters.

    >>> import allgrad as torch
    >>> torch.einsum("ij,j->i", torch.ones(2, 3), torch.ones(3))
    tensor([3., 3.])
    """
    if isinstance(equation, Tensor):
        return einsum(*_from_lists((equation, *operands)))
    tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    inputs, output = _explicit(equation.replace(" ", ""), [x._array.ndim for x in tensors])
    single = [_without_repeats(x, letters) for x, letters in zip(tensors, inputs, strict=True)]
    return contract(tuple(x for x, _ in single), f"{','.join(letters for _, letters in single)}->{output}")


def _from_lists(arguments: tuple[Any, ...]) -> tuple[str, list[Tensor]]:
    """The equation and the operands of the form with lists of numbers."""

    def letters(numbers: Any) -> str:
        return "".join("..." if n is Ellipsis else chr(n + (ord("a") - 26 if n > 25 else ord("A"))) for n in numbers)

    operands = list(arguments[: len(arguments) // 2 * 2 : 2])
    written = ",".join(letters(numbers) for numbers in arguments[1::2])
    return written + ("->" + letters(arguments[-1]) if len(arguments) % 2 else ""), operands


def _without_repeats(x: Tensor, letters: str) -> tuple[Tensor, str]:
    """*x* with the diagonal over every letter that comes twice, and its letters then."""
    from .diagonal import diagonal

    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            if x._array.shape[first] != x._array.shape[second]:
                raise RuntimeError(
                    f"einsum(): subscript {letter} is repeated for operand of shape {list(x.shape)} but the sizes don't match"
                )
            x = diagonal(x, 0, first, second)
            letters = letters[:first] + letters[first + 1 : second] + letters[second + 1 :] + letter
    return x, letters


def _einsum_rule(g: Any, tensors: Any, equation: str) -> list[Any]:
    """For each operand, the contraction of *g* with the others; letters it alone had are stretched back."""
    inputs, output = _explicit(equation, [len(tuple(x.shape)) for x in tensors])
    results = []
    for i, letters in enumerate(inputs):
        others = [(inputs[j], tensors[j]) for j in range(len(inputs)) if j != i]
        available = set(output).union(*(set(name) for name, _ in others))
        kept = "".join(c for c in letters if c in available)
        specification = ",".join([output, *(name for name, _ in others)]) + "->" + kept
        partial = contract((g, *(x for _, x in others)), specification)
        shape = tuple(tensors[i].shape)
        lengths = dict(zip(kept, tuple(partial.shape), strict=True))
        partial = np.reshape(partial, tuple(lengths.get(c, 1) for c in letters))
        stretched = tuple(n if lengths.get(c, 1) == 1 else lengths[c] for c, n in zip(letters, shape, strict=True))
        results.append(reduce_to(np.broadcast_to(partial, stretched), shape))
    return results


def _explicit(equation: str, ndims: list[int]) -> tuple[list[str], str]:
    """The letters of each operand and of the output, with ``...`` and a missing output written out."""
    left, arrow, right = equation.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(ndims):
        raise RuntimeError(f"einsum(): {equation!r} names {len(inputs)} operands, but {len(ndims)} were given")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation]
    widest = max((n - len(s.replace("...", "")) for s, n in zip(inputs, ndims, strict=True) if "..." in s), default=0)
    names = "".join(spare[:widest])
    filled = []
    for s, n in zip(inputs, ndims, strict=True):
        hidden = n - len(s.replace("...", ""))
        filled.append(s.replace("...", names[len(names) - hidden :] if hidden else ""))
    if not arrow:
        joined = "".join(filled)
        right = names + "".join(sorted(c for c in set(joined) - set(names) if joined.count(c) == 1))
    return filled, right.replace("...", names)


@operation(
    _einsum_rule,
    promotion=Promotion.ALIKE,
    called="einsum",
    public=False,
    node_name="EinsumBackward0",
    samples=each(
        on([real(3, 4), real(4, 2)], "ij,jk->ik"), on([real(3, 4)], "ij->j"), on([real(2, 3, 4), real(2, 4)], "bij,bj->bi"),
    ),
)  # fmt: skip
def contract(tensors: Arrays, equation: str) -> Array:
    """The contraction that *equation* writes."""
    inputs, output = _explicit(equation, [a.ndim for a in tensors])
    try:
        return np.einsum(f"{','.join(inputs)}->{output}", *tensors, optimize=True)
    except ValueError as error:
        raise RuntimeError(f"einsum(): {error}") from None
