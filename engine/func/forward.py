"""Forward-mode transformations: Jacobian-vector products, by differentiating the vector-Jacobian product once more.

The product Jᵀu is linear in u, so its own derivative along t is J t: two passes back make one forward, for every
operation that has a rule (Christianson 1992, "Automatic Hessians by reverse accumulation"; J. Townsend 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.gradients import grad as gradients
from ..operations.batches import enter_batch, without_batch
from ..tape.mode import enable_grad, mode
from ..tape.vmaps import running
from ..tensors.tensor import Tensor
from .reverse import ArgNums, _with_tracked, settled, tracked
from .tree import flatten, tree_map, unflatten


def pushed_forward(outputs: list[Any], inputs: list[Tensor]) -> Callable[[list[Any]], list[Any]]:
    """The linear function from tangents of *inputs* to those of *outputs*, which were computed from them."""
    weights = [Tensor._wrap(np.zeros_like(o._array)).requires_grad_() for o in outputs]
    used = [(o, w) for o, w in zip(outputs, weights, strict=True) if o.requires_grad]
    before, mode.pulling_forward = mode.pulling_forward, True
    try:
        pulled = gradients([o for o, _ in used], inputs, [w for _, w in used], create_graph=True, allow_unused=True) \
            if used else (None,) * len(inputs)  # fmt: skip
    finally:
        mode.pulling_forward = before

    def push(tangents: list[Any]) -> list[Any]:
        pairs = [(p, t) for p, t in zip(pulled, tangents, strict=True) if p is not None and p.requires_grad]
        if not pairs:
            return [Tensor._wrap(np.zeros_like(o._array)) for o in outputs]
        sources, vectors = [p for p, _ in pairs], [t for _, t in pairs]
        return list(gradients(sources, weights, vectors, create_graph=True, materialize_grads=True))

    return push


def _checked(primals: Any, tangents: Any) -> tuple[list[Any], list[Any]]:
    points, vectors = flatten(primals)[0], flatten(tangents)[0]
    if len(points) != len(vectors):
        raise RuntimeError(f"jvp: {len(points)} primals need as many tangents, found {len(vectors)}")
    for p, t in zip(points, vectors, strict=True):
        if not isinstance(t, Tensor) or p._array.shape != t._array.shape:
            raise RuntimeError(f"jvp: a primal of shape {list(p.shape)} needs a tangent of that shape, found {t!r}")
    return points, vectors


def jvp(func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """The value of *func* at *primals* (a tuple), and its derivative along *tangents*.

    >>> import allgrad as torch
    >>> torch.func.jvp(lambda x: x ** 2, (torch.tensor(3.0),), (torch.tensor(1.0),))
    (tensor(9.), tensor(6.))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("jvp: primals and tangents are tuples, of as many entries as the function has arguments")
    _, vectors = _checked(primals, tangents)
    with enable_grad():
        inputs = tracked(primals)
        output = func(*inputs)
        value, aux = output if has_aux else (output, None)
        outputs, structure = flatten(value)
        derivative = unflatten(structure, pushed_forward(outputs, flatten(inputs)[0])(vectors))
        value, derivative, aux = settled((value, derivative, aux), inputs)
    return (value, derivative, aux) if has_aux else (value, derivative)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of *func* at *primals*, and the linear function from tangents to its derivative along them."""
    with enable_grad():
        inputs = tracked(primals)
        value = func(*inputs)
        outputs, structure = flatten(value)
        push = pushed_forward(outputs, flatten(inputs)[0])

    def along(*tangents: Any) -> Any:
        _, vectors = _checked(primals, tangents)
        with enable_grad():
            return settled(unflatten(structure, push(vectors)), inputs)

    return settled(value, inputs), along


def jacfwd(
    func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable[..., Any]:
    """The function that returns the Jacobian of *func*: of shape output + input, computed with all columns at once.

    >>> import allgrad as torch
    >>> torch.func.jacfwd(lambda x: x ** 2)(torch.tensor([1., 3.]))
    tensor([[2., 0.],
            [0., 6.]])
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            filled, inputs = _with_tracked(args, argnums)
            output = func(*filled, **kwargs)
            value, aux = output if has_aux else (output, None)
            outputs, output_structure = flatten(value)
            points, input_structure = flatten(inputs)
            push = pushed_forward(outputs, points)
            found = [columns(push, points, position) for position in range(len(points))]
            per_output = [unflatten(input_structure, [column[i] for column in found]) for i in range(len(outputs))]
            jacobian = settled(unflatten(output_structure, per_output), inputs)
        return (jacobian, tree_map(lambda t: settled(t, inputs), aux)) if has_aux else jacobian

    return transformed


def columns(push: Callable[[list[Any]], list[Any]], points: list[Tensor], position: int) -> list[Any]:
    """The derivatives of the outputs along every element of the input at *position*, in the last dimensions."""
    shape, size = tuple(points[position].shape), points[position]._array.size
    with running(size) as level:
        tangents = [Tensor._wrap(np.zeros_like(p._array)) for p in points]
        every = np.eye(size, dtype=points[position]._array.dtype).reshape(size, *shape)
        tangents[position] = enter_batch(Tensor._wrap(every), 0, level)
        found = push(tangents)
    return [without_batch(d, d._array.ndim, level, size).reshape(tuple(d.shape) + shape) for d in found]
