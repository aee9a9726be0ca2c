"""Derivatives of functions: Jacobians, Hessians, and their products with vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..tape.mode import enable_grad
from ..tensors.tensor import Tensor
from .gradients import grad


def _as_inputs(inputs: Any, create_graph: bool) -> tuple[tuple[Tensor, ...], bool]:
    """*inputs* as a tuple of tensors to differentiate with respect to, and whether they came in one."""
    several = isinstance(inputs, (tuple, list))
    tensors = tuple(inputs) if several else (inputs,)
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"The inputs must be Tensors or a tuple of Tensors, but input {i} has type {type(t)}.")
    if create_graph:
        return tuple(t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in tensors), several
    return tuple(t.detach().requires_grad_() for t in tensors), several


def _called(func: Callable[..., Any], inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], bool]:
    outputs = func(*inputs)
    several = isinstance(outputs, (tuple, list))
    listed = tuple(outputs) if several else (outputs,)
    for i, t in enumerate(listed):
        if not isinstance(t, Tensor):
            raise TypeError(f"The function's output {i} must be a Tensor, found {type(t).__name__}")
    return listed, several


def _grad_or_zeros(
    output: Tensor, inputs: tuple[Tensor, ...], weight: Any, create_graph: bool, strict: bool
) -> list[Tensor]:
    if output.requires_grad:
        found = grad(output, inputs, weight, retain_graph=True, create_graph=create_graph, allow_unused=True)
    else:
        found = (None,) * len(inputs)
    if strict and any(g is None for g in found):
        raise RuntimeError(
            "The output of the user-provided function is independent of an input. This is not allowed in strict mode."
        )
    return [Tensor._wrap(np.zeros_like(t._array)) if g is None else g for g, t in zip(found, inputs, strict=True)]


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of every output element with respect to every input element.

    For one output of shape *out* and one input of shape *in* it has shape *out* + *in*; several of either make
    a tuple (outermost: outputs). *vectorize* computes all rows in one backward pass, which takes the memory of as many.
    *strategy* "forward-mode", which wants *vectorize*, computes columns: cheaper where there are fewer inputs than outputs.
    *strict* raises RuntimeError where an output does not depend on an input.

    >>> import allgrad as torch
    >>> torch.autograd.functional.jacobian(lambda x: x ** 2, torch.tensor([1., 3.]))
    tensor([[2., 0.],
            [0., 6.]])
    """
    _check_strategy("strategy", strategy, vectorize, create_graph, strict)
    with enable_grad():
        tensors, several_inputs = _as_inputs(inputs, create_graph)
        outputs, several_outputs = _called(func, tensors)
        if strategy == "forward-mode":
            rows = _by_columns(outputs, tensors)
        else:
            at_once = vectorize and all(o.requires_grad and o._array.size for o in outputs)
            rows = tuple(
                _rows_at_once(o, tensors, create_graph) if at_once else _jacobian_of(o, tensors, create_graph, strict)
                for o in outputs
            )
    picked = tuple(row if several_inputs else row[0] for row in rows)
    return picked if several_outputs else picked[0]


def _check_strategy(name: str, strategy: str, vectorize: bool, create_graph: bool, strict: bool) -> None:
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ValueError(f"Expected {name} to be either 'reverse-mode' or 'forward-mode'. Got {strategy!r}")
    if strict and vectorize:
        raise RuntimeError("strict=True and vectorize=True are not supported together: set one of them to False")
    if strategy == "forward-mode" and create_graph:
        raise NotImplementedError(
            f'create_graph=True is not supported with {name}="forward-mode": use torch.func.jacfwd, or reverse mode'
        )
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError(
            f'Computing the Jacobian with {name}="forward-mode" is only supported for vectorize=True: set it'
        )


def _by_columns(outputs: tuple[Tensor, ...], inputs: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], ...]:
    """The Jacobians in forward mode: for each output, one for each input."""
    from ..func.forward import columns, pushed_forward

    push, points = pushed_forward(list(outputs), list(inputs)), list(inputs)
    found = [columns(push, points, position) for position in range(len(points))]
    return tuple(tuple(column[i].detach() for column in found) for i in range(len(outputs)))


def _rows_at_once(output: Tensor, inputs: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    size, shape = output._array.size, output._array.shape
    weights = Tensor._wrap(np.eye(size, dtype=output._array.dtype).reshape(size, *shape))
    found = grad(output, inputs, weights, retain_graph=True, create_graph=create_graph, allow_unused=True,
                 is_grads_batched=True)  # fmt: skip
    return tuple(
        Tensor._wrap(np.zeros((*shape, *t._array.shape), t._array.dtype)) if g is None
        else g.reshape((*shape, *t._array.shape))
        for g, t in zip(found, inputs, strict=True)
    )  # fmt: skip


def _jacobian_of(output: Tensor, inputs: tuple[Tensor, ...], create_graph: bool, strict: bool) -> tuple[Tensor, ...]:
    from ..operations.shape import stack

    shape = output._array.shape
    columns: list[list[Tensor]] = [[] for _ in inputs]
    for position in range(output._array.size):
        weight = np.zeros(output._array.size, dtype=output._array.dtype)
        weight[position] = 1
        found = _grad_or_zeros(output, inputs, Tensor._wrap(weight.reshape(shape)), create_graph, strict)
        for column, g in zip(columns, found, strict=True):
            column.append(g)
    return tuple(
        stack(column).reshape((*shape, *t._array.shape)) if column
        else Tensor._wrap(np.zeros((*shape, *t._array.shape), dtype=t._array.dtype))
        for column, t in zip(columns, inputs, strict=True)
    )  # fmt: skip


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function with a single output element: the Jacobian of its gradient.

    >>> import allgrad as torch
    >>> torch.autograd.functional.hessian(lambda x: (x ** 3).sum(), torch.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    _check_strategy("outer_jacobian_strategy", outer_jacobian_strategy, vectorize, create_graph, strict)
    several = isinstance(inputs, (tuple, list))

    def gradient(*xs: Tensor) -> tuple[Tensor, ...]:
        output = func(*xs)
        if not isinstance(output, Tensor) or output._array.size != 1:
            raise RuntimeError("The Tensor returned by the function given to hessian should contain a single element")
        return tuple(_grad_or_zeros(output, xs, None, True, strict))

    found = jacobian(
        gradient, inputs if several else (inputs,), create_graph, strict, vectorize, outer_jacobian_strategy
    )
    return found if several else found[0][0]


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The pair (outputs, vᵀ · Jacobian): *v* has the outputs' shape, or is None for a single element."""
    with enable_grad():
        tensors, several_inputs = _as_inputs(inputs, create_graph)
        outputs, several_outputs = _called(func, tensors)
        weights = (v,) if v is None or isinstance(v, Tensor) else tuple(v)
        totals: list[Tensor] | None = None
        for output, weight in zip(outputs, weights, strict=True):
            found = _grad_or_zeros(output, tensors, weight, create_graph, strict)
            totals = found if totals is None else [a + b for a, b in zip(totals, found, strict=True)]
    made = outputs if create_graph else tuple(o.detach() for o in outputs)
    result = tuple(totals or ())
    return made if several_outputs else made[0], result if several_inputs else result[0]


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The pair (outputs, Jacobian · v): *v* has the inputs' shape, or is None for a single element.

    Computed by differentiating the vector-Jacobian product with respect to its vector.
    """
    with enable_grad():
        tensors, _ = _as_inputs(inputs, create_graph)
        outputs, several_outputs = _called(func, tensors)
        weights = [Tensor._wrap(np.zeros_like(o._array)).requires_grad_() for o in outputs]
        found = grad(outputs, tensors, weights, create_graph=True, allow_unused=True)
        vectors = (
            [Tensor._wrap(np.ones_like(tensors[0]._array))]
            if v is None
            else ([v] if isinstance(v, Tensor) else list(v))
        )
        pairs = [(g, x) for g, x in zip(found, vectors, strict=True) if g is not None and g.requires_grad]
        zeros = tuple(Tensor._wrap(np.zeros_like(o._array)) for o in outputs)
        products = grad([g for g, _ in pairs], weights, [x for _, x in pairs], create_graph=create_graph,
                        materialize_grads=True) if pairs else zeros  # fmt: skip
    made = outputs if create_graph else tuple(o.detach() for o in outputs)
    return (made, tuple(products)) if several_outputs else (made[0], products[0])


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The pair (output, vᵀ · Hessian) of a function with a single output element."""
    several = isinstance(inputs, (tuple, list))
    with enable_grad():
        tensors, _ = _as_inputs(inputs, create_graph)
        (output,), _ = _called(func, tensors)
        first = _grad_or_zeros(output, tensors, None, True, strict)
        vectors = (
            [Tensor._wrap(np.ones_like(tensors[0]._array))]
            if v is None
            else ([v] if isinstance(v, Tensor) else list(v))
        )
        pairs = [(g, x) for g, x in zip(first, vectors, strict=True) if g.requires_grad]
        found = (
            grad(
                [g for g, _ in pairs],
                tensors,
                [x for _, x in pairs],
                create_graph=create_graph,
                materialize_grads=True,
            )
            if pairs
            else tuple(Tensor._wrap(np.zeros_like(t._array)) for t in tensors)
        )
    made = output if create_graph else output.detach()
    return made, tuple(found) if several else found[0]


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The pair (output, Hessian · v) of a function with a single output element; equal to ``vhp``, Hessians being symmetric."""
    return vhp(func, inputs, v, create_graph, strict)
