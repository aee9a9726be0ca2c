"""Reverse-mode transformations: gradients, vector-Jacobian products, Jacobians with all rows at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd.gradients import grad as gradients
from ..operations.batches import enter_batch, without_batch
from ..tape.mode import enable_grad
from ..tape.nodes import AccumulateGrad, Node
from ..tape.vmaps import running
from ..tensors.tensor import Tensor
from .tree import flatten, tree_map, unflatten

ArgNums = int | tuple[int, ...]


def tracked(tree: Any) -> Any:
    """*tree* with each floating-point tensor replaced by an alias that records: a fresh leaf, or a view of a recorded one."""

    def alias(value: Any) -> Any:
        if not isinstance(value, Tensor) or value._array.dtype.kind not in "fc":
            return value
        return value.view_as(value) if value.requires_grad else value.detach().requires_grad_()

    return tree_map(alias, tree)


def settled(results: Any, inputs: Any) -> Any:
    """*results* cut off from the graph where they depend on nothing that requires grad but the fresh leaves in *inputs*."""
    own: set[Node | None] = {
        t._node for t in flatten(inputs)[0] if isinstance(t, Tensor) and type(t._node) is AccumulateGrad
    }

    def cut(value: Any) -> Any:
        if not isinstance(value, Tensor) or value._node is None or _reaches_others(value._node, own):
            return value
        return value.detach()

    return tree_map(cut, results)


def _reaches_others(start: Node, own: set[Node | None]) -> bool:
    """Whether a leaf outside of *own* is reached from *start*."""
    stack, seen = [start], {start}
    while stack:
        node = stack.pop()
        if type(node) is AccumulateGrad and node not in own:
            return True
        for edge in node.edges:
            if edge is not None and edge not in seen:
                seen.add(edge)
                stack.append(edge)
    return False


def _picked(args: Sequence[Any], argnums: ArgNums) -> tuple[Any, ...]:
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    for n in numbers:
        if not -len(args) <= n < len(args):
            raise RuntimeError(f"Got argnum={n}, but only {len(args)} positional inputs")
    return tuple(args[n] for n in numbers)


def _with_tracked(args: Sequence[Any], argnums: ArgNums) -> tuple[list[Any], Any]:
    """*args* with those at *argnums* tracked, and these."""
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    inputs = tracked(_picked(args, argnums))
    filled = list(args)
    for n, value in zip(numbers, inputs, strict=True):
        filled[n] = value
    return filled, inputs if not isinstance(argnums, int) else inputs[0]


def _one_number(output: Any, name: str) -> Tensor:
    if not isinstance(output, Tensor):
        raise RuntimeError(f"Expected f(*args) to return a Tensor, got {type(output).__name__}, in {name}")
    if output._array.ndim:
        raise RuntimeError(
            f"Expected f(*args) to return a scalar tensor, got tensor with {output._array.ndim} dims. Maybe you wanted to "
            "use the vjp or jacrev APIs instead?"
        )
    return output


def _wanted_again(output: Tensor, inputs: Sequence[Tensor], weight: Any) -> bool:
    """Whether the gradient may be differentiated: it depends on more than fresh leaves, which nobody else knows."""
    if (weight is not None and weight.requires_grad) or any(type(t._node) is not AccumulateGrad for t in inputs):
        return True
    node = output._node
    return node is not None and _reaches_others(node, {t._node for t in inputs})


def _tensor_gradients(output: Tensor, inputs: Any, weight: Any = None) -> Any:
    """The gradient of *output* for each tensor of the tree *inputs*: zeros where it does not depend on it."""
    leaves, structure = flatten(inputs)
    differentiable = [t for t in leaves if isinstance(t, Tensor) and t.requires_grad]
    if output.requires_grad and differentiable:
        recorded = _wanted_again(output, differentiable, weight)
        found = iter(gradients(output, differentiable, weight, True, recorded, materialize_grads=True))
    else:
        found = iter([Tensor._wrap(np.zeros_like(t._array)) for t in differentiable])
    return unflatten(structure, [next(found) if isinstance(t, Tensor) and t.requires_grad else t for t in leaves])


def grad_and_value(
    func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """The function that returns the gradient of *func* for its arguments *argnums*, and its value.

    *func* returns a 0-d tensor, or with *has_aux* that and something else, which is passed on beside the value.

    >>> import allgrad as torch
    >>> torch.func.grad_and_value(lambda x: x ** 2)(torch.tensor(3.0))
    (tensor(6.), tensor(9.))
    """

    def transformed(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        with enable_grad():
            filled, inputs = _with_tracked(args, argnums)
            output = func(*filled, **kwargs)
            value, aux = output if has_aux else (output, None)
            g = _tensor_gradients(_one_number(value, "grad"), inputs)
            g, value, aux = settled((g, value, aux), inputs)
        return (g, (value, aux)) if has_aux else (g, value)

    return transformed


def grad(func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that returns the gradient of *func* for its arguments *argnums* (a tuple for several).

    >>> import allgrad as torch
    >>> torch.func.grad(torch.func.grad(lambda x: x ** 3))(torch.tensor(2.0))
    tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    def transformed(*args: Any, **kwargs: Any) -> Any:
        g, value = both(*args, **kwargs)
        return (g, value[1]) if has_aux else g

    return transformed


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of *func* at *primals*, and the function from cotangents of it to those of the primals.

    >>> import allgrad as torch
    >>> value, back = torch.func.vjp(lambda x: x * 2, torch.tensor([1.0, 2.0]))
    >>> back(torch.ones(2))
    (tensor([2., 2.]),)
    """
    with enable_grad():
        inputs = tracked(primals)
        output = func(*inputs)
        value, aux = output if has_aux else (output, None)

    def back(*cotangents: Any) -> tuple[Any, ...]:
        outputs, weights = flatten(value)[0], flatten(cotangents)[0]
        if len(outputs) != len(weights):
            raise RuntimeError(
                f"vjp: the function has {len(outputs)} outputs, but {len(weights)} cotangents were given"
            )
        with enable_grad():
            total: list[Any] | None = None
            for one, weight in zip(outputs, weights, strict=True):
                leaves, structure = flatten(_tensor_gradients(one, inputs, weight))
                total = leaves if total is None else [a + b for a, b in zip(total, leaves, strict=True)]
            result: tuple[Any, ...] = settled(unflatten(structure, total or []), inputs)
        return result

    shown = settled(value, inputs)
    return (shown, back, settled(aux, inputs)) if has_aux else (shown, back)


def jacrev(
    func: Callable[..., Any],
    argnums: ArgNums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """The function that returns the Jacobian of *func*: of shape output + input, computed with all rows at once.

    *chunk_size* rows at once, if that is given: it bounds the memory.

    >>> import allgrad as torch
    >>> torch.func.jacrev(lambda x: x ** 2)(torch.tensor([1., 3.]))
    tensor([[2., 0.],
            [0., 6.]])
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            filled, inputs = _with_tracked(args, argnums)
            output = func(*filled, **kwargs)
            value, aux = output if has_aux else (output, None)
            jacobian = settled(tree_map(lambda one: _rows(one, inputs, chunk_size), value), inputs)
        return (jacobian, settled(aux, inputs)) if has_aux else jacobian

    return transformed


def _rows(output: Tensor, inputs: Any, chunk_size: int | None) -> Any:
    """The Jacobian of one output: for each input, the gradients of its elements, found in one pass, or as few as may be."""
    from ..operations.shape import cat

    size, shape = output._array.size, tuple(output.shape)
    leaves, structure = flatten(inputs)
    if not size:
        return unflatten(structure, [Tensor._wrap(np.zeros(shape + tuple(t.shape), t._array.dtype)) for t in leaves])
    rows = []
    step = chunk_size or size
    for start in range(0, size, step):
        count = min(step, size - start)
        weights = Tensor._wrap(np.eye(count, size, start, dtype=output._array.dtype).reshape(count, *shape))
        with running(count) as level:
            found = flatten(_tensor_gradients(output, inputs, enter_batch(weights, 0, level)))[0]
        rows.append([without_batch(t, 0, level, count) for t in found])
    columns = [column[0] if len(rows) == 1 else cat(list(column)) for column in zip(*rows, strict=True)]
    return unflatten(structure, [c.reshape(shape + tuple(c.shape)[1:]) for c in columns])


def hessian(func: Callable[..., Any], argnums: ArgNums = 0) -> Callable[..., Any]:
    """The function that returns the second derivatives of *func*: the Jacobian of its Jacobian.

    >>> import allgrad as torch
    >>> torch.func.hessian(lambda x: (x ** 3).sum())(torch.tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)
