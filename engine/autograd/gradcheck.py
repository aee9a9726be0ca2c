"""Checking derivatives: those that the rules give against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tape.mode import enable_grad
from ..tensors.tensor import Tensor
from .gradients import grad

Array = np.ndarray[Any, Any]


class GradcheckError(RuntimeError):
    """A derivative that does not agree with finite differences, or cannot be compared with them."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of *func* at *inputs* agree with central differences of step *eps*.

    *inputs* is a tensor or tuple; those that require grad are varied and should be float64. Each element must agree
    within ``atol + rtol · |numeric|``. With *check_forward_ad* forward-mode is compared too; *nondet_tol* is how far
    two backward passes may differ. GradcheckError names the first element that disagrees, unless
    *raise_exception* is False.

    >>> import allgrad as torch
    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(lambda x: x.sin() * x, x)
    True
    """
    try:
        listed = _listed(inputs)
        varied = _varied(listed)
        outputs = _outputs(func, listed)
        for number, output in enumerate(outputs):
            numeric = [_numeric(func, listed, number, t, eps) for t in varied]
            if check_backward_ad:
                analytic = _analytic(func, listed, varied, number, nondet_tol)
                _compare("Jacobian", number, numeric, analytic, atol, rtol)
            if check_forward_ad:
                _compare("forward-mode Jacobian", number, numeric, _forward(func, listed, varied, number), atol, rtol)
            if check_grad_dtypes:
                _check_dtypes(output, varied)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Whether the second derivatives of *func* agree with finite differences of its gradients.

    *grad_outputs* weighs the outputs (default: fixed numbers between -1 and 1) and is varied with the inputs.
    """
    listed = _listed(inputs)
    weights = _listed(grad_outputs) if grad_outputs is not None else _weights(_outputs(func, listed))
    count = len(listed)

    def gradient(*values: Tensor) -> tuple[Tensor, ...]:
        points, directions = values[:count], values[count:]
        outputs = _outputs(func, list(points))
        varied = [p for p in points if isinstance(p, Tensor) and p.requires_grad]
        return tuple(grad(outputs, varied, list(directions), create_graph=True, materialize_grads=True))

    return gradcheck(
        gradient, (*listed, *weights), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception,
        nondet_tol=nondet_tol, check_grad_dtypes=check_grad_dtypes, check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
    )  # fmt: skip


def _listed(inputs: Any) -> list[Any]:
    return [inputs] if isinstance(inputs, Tensor) else list(inputs)


def _varied(inputs: list[Any]) -> list[Tensor]:
    found = [t for t in inputs if isinstance(t, Tensor) and t.requires_grad]
    if not found:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True."
        )
    return found


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    with enable_grad():
        result = func(*inputs)
    listed = list(result) if isinstance(result, (tuple, list)) else [result]
    return [o for o in listed if isinstance(o, Tensor) and o.requires_grad]


def _weights(outputs: list[Tensor]) -> list[Tensor]:
    return [
        Tensor._wrap(np.sin(1.0 + np.arange(o.numel(), dtype=np.float64)).reshape(tuple(o.shape)).astype(o._array.dtype))
        .requires_grad_()
        for o in outputs
    ]  # fmt: skip


def _numeric(func: Callable[..., Any], inputs: list[Any], number: int, varied: Tensor, eps: float) -> Array:
    """The Jacobian (input elements, output elements) by central differences; complex inputs along both axes."""

    def value() -> Array:
        # not under no_grad: the function may differentiate inside
        return np.array(_outputs(func, inputs)[number].detach()._array).reshape(-1)

    original = varied._array
    work = np.array(original)
    flat = work.reshape(-1)
    try:
        varied._array = work
        rows = [_slope(value, flat, i, eps) for i in range(flat.size)]
    finally:
        varied._array = original
    return np.array(rows).reshape(flat.size, -1)


def _slope(value: Callable[[], Array], flat: Array, i: int, eps: float) -> Array:
    """d value / d x, or for complex x PyTorch's d value / d re + i · d value / d im of a real value's conjugate."""

    def along(step: Any) -> Array:
        kept = flat[i]
        flat[i] = kept + step
        above = value()
        flat[i] = kept - step
        below = value()
        flat[i] = kept
        return np.asarray((above - below) / (2 * eps))

    return along(eps) if flat.dtype.kind != "c" else along(eps) + 1j * along(1j * eps)


def _analytic(
    func: Callable[..., Any], inputs: list[Any], varied: list[Tensor], number: int, nondet_tol: float
) -> list[Array]:
    output = _outputs(func, inputs)[number]
    columns: list[list[Array]] = [[] for _ in varied]
    for position in range(output.numel()):
        weight = np.zeros(output.numel(), dtype=output._array.dtype)
        weight[position] = 1
        direction = Tensor._wrap(weight.reshape(tuple(output.shape)))
        found = grad(output, varied, direction, retain_graph=True, materialize_grads=True)
        again = grad(output, varied, direction, retain_graph=True, materialize_grads=True)
        for column, g, h in zip(columns, found, again, strict=True):
            if np.abs(g._array - h._array).max(initial=0) > nondet_tol:
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input gives different values"
                )
            column.append(g._array.reshape(-1))
    return [np.array(column).reshape(output.numel(), t.numel()).T for column, t in zip(columns, varied, strict=True)]


def _forward(func: Callable[..., Any], inputs: list[Any], varied: list[Tensor], number: int) -> list[Array]:
    from ..func.forward import jvp

    places = [i for i, t in enumerate(inputs) if any(t is v for v in varied)]

    def of_varied(*values: Tensor) -> Any:
        filled = list(inputs)
        for place, value in zip(places, values, strict=True):
            filled[place] = value
        return _outputs(func, filled)[number]

    primals = tuple(t.detach() for t in varied)
    jacobians = []
    for which, t in enumerate(primals):
        rows = []
        for element in range(t.numel()):
            tangents = [Tensor._wrap(np.zeros_like(p._array)) for p in primals]
            tangents[which]._array.reshape(-1)[element] = 1
            rows.append(jvp(of_varied, primals, tuple(tangents))[1].detach()._array.reshape(-1))
        jacobians.append(np.array(rows).reshape(t.numel(), -1))
    return jacobians


def _compare(what: str, output: int, numeric: list[Array], analytic: list[Array], atol: float, rtol: float) -> None:
    for number, (n, a) in enumerate(zip(numeric, analytic, strict=True)):
        wrong = ~np.isclose(a, n, rtol=rtol, atol=atol, equal_nan=True)
        if wrong.any():
            i, j = (int(k) for k in np.argwhere(wrong)[0])
            raise GradcheckError(
                f"{what} mismatch for output {output} with respect to input {number}: element [{i}, {j}] (input, output) "
                f"is {n[i, j]} by finite differences and {a[i, j]} analytically\nnumerical:\n{n}\nanalytical:\n{a}"
            )


def _check_dtypes(output: Tensor, varied: list[Tensor]) -> None:
    for t, g in zip(varied, grad(output.sum(), varied, retain_graph=True, materialize_grads=True), strict=True):
        if g.dtype is not t.dtype:
            raise GradcheckError(f"the gradient of an input of type {t.dtype} is of type {g.dtype}")
