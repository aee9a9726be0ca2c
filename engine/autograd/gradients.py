"""``backward`` and ``grad``: the ways to ask for gradients, checked and handed to the backward pass."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..batching import as_array
from ..tape.mode import mode
from ..tape.nodes import AccumulateGrad, Node, conjugated
from ..tape.vmaps import running
from ..tensors.tensor import Tensor, add_method
from .backward import run
from .edges import GradientEdge

Tensors = Tensor | GradientEdge | Sequence[Tensor | GradientEdge]


def backward(
    tensors: Tensors,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Tensors | dict[str, Tensor] | None = None,
) -> None:
    """Add the derivative of *tensors* to the ``.grad`` of the leaves they were made from.

    *grad_tensors* (once called *grad_variables*) weighs them: one tensor of its shape for each, None for a single element.
    *retain_graph* keeps what was saved for another pass (default: *create_graph*); *create_graph* records the derivative
    itself, so that it can be differentiated again. With *inputs* (the values of a dict), only these tensors' ``.grad``
    is added to.

    >>> import allgrad as torch
    >>> x = torch.tensor([2.0], requires_grad=True)
    >>> torch.autograd.backward(x ** 2)
    >>> x.grad
    tensor([4.])
    """
    if grad_variables is not None:
        if grad_tensors is not None:
            raise RuntimeError(
                "backward was given both grad_tensors and grad_variables, its old name: give one of them"
            )
        grad_tensors = grad_variables
    outputs = _listed(tensors)
    roots = _roots(outputs, _listed_or_none(grad_tensors, len(outputs), "grad_tensors"), create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run(roots, retain_graph=keep, create_graph=create_graph)
        return
    wanted = list(inputs.values()) if isinstance(inputs, dict) else _listed(inputs)
    if not wanted:
        raise RuntimeError("'inputs' argument to backward cannot be empty.")
    nodes = [_node_of_input(t) for t in wanted]
    found = run(roots, retain_graph=keep, create_graph=create_graph, targets=nodes, accumulate=True)
    for tensor, node in zip(wanted, nodes, strict=True):
        if node in found and type(node) is not AccumulateGrad:
            if isinstance(tensor, GradientEdge):
                raise RuntimeError("backward(inputs=) wants Tensors, or edges of leaves: there is no .grad to add to")
            g = _as_tensor(found[node])
            tensor._grad = g if tensor._grad is None else tensor._grad + g


def grad(
    outputs: Tensors,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """The derivatives of *outputs*, weighed by *grad_outputs*, with respect to *inputs*; no ``.grad`` is touched.

    Returns a tuple like *inputs* (a dict for a dict). An input that was not used raises RuntimeError, gives None with
    *allow_unused*, zeros with *materialize_grads*. With *is_grads_batched*, the first dimension of
    *grad_outputs* is a batch of weights, and so is that of the results.

    >>> import allgrad as torch
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> torch.autograd.grad(x ** 3, x)
    (tensor([27.]),)
    """
    if isinstance(inputs, Mapping):
        if type(inputs) is not dict:
            raise TypeError(
                f"`inputs` argument to `grad()` must be a dict, not {type(inputs).__name__}. "
                "Other Mapping types are not supported."
            )
        found = grad(outputs, tuple(inputs.values()), grad_outputs, retain_graph, create_graph, only_inputs,
                     allow_unused, is_grads_batched, materialize_grads)  # fmt: skip
        return dict(zip(inputs, found, strict=True))
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: False.")
    listed, wanted = _listed(outputs), _listed(inputs)
    if not wanted:
        raise RuntimeError(
            "`inputs` argument to `grad()` cannot be empty: name the tensors to differentiate with respect to"
        )
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for other "
            "parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    keep = create_graph if retain_graph is None else retain_graph
    nodes = [_node_of_input(t) for t in wanted]
    weights = _listed_or_none(grad_outputs, len(listed), "grad_outputs")
    if is_grads_batched:
        found = _batched(listed, nodes, weights, keep, create_graph)
    else:
        found = _once(listed, nodes, weights, keep, create_graph)
    missing = _Missing(bool(allow_unused), materialize_grads, create_graph)
    return tuple(t_g if t_g is not None else missing.stand_in(t, i)
                 for i, (t_g, t) in enumerate(zip(found, wanted, strict=True)))  # fmt: skip


def _once(
    outputs: Sequence[Tensor],
    nodes: list[Node],
    weights: list[Any],
    keep: bool,
    create_graph: bool,
) -> list[Tensor | None]:
    roots = _roots(outputs, weights, create_graph)
    found = run(roots, retain_graph=keep, create_graph=create_graph, targets=nodes, accumulate=False)
    return [_as_tensor(found[n]) if n in found else None for n in nodes]


def _batched(
    outputs: Sequence[Tensor],
    nodes: list[Node],
    weights: list[Any],
    keep: bool,
    create_graph: bool,
) -> list[Tensor | None]:
    """One pass for all entries of the weights' first dimension."""
    from ..operations.batches import enter_batch, without_batch

    counts = {w._array.shape[:1] for w in weights if w is not None}
    if len(counts) != 1 or () in counts or (0,) in counts:
        raise RuntimeError(
            "is_grads_batched=True wants grad_outputs whose first dimension is one batch of gradients for all outputs, "
            f"found {[None if w is None else list(w.shape) for w in weights]}"
        )
    ((count,),) = counts
    with running(count) as level:
        entries = [None if w is None else enter_batch(w, 0, level) for w in weights]
        found = _once(outputs, nodes, entries, keep, create_graph)
    return [None if g is None else without_batch(g, 0, level, count) for g in found]


class _Missing(NamedTuple):
    """What ``grad`` does about an input that was not used."""

    allowed: bool
    zeros: bool
    requires_grad: bool

    def stand_in(self, tensor: Tensor | GradientEdge, position: int) -> Tensor | None:
        """What is returned for *tensor*, the input at *position*. RuntimeError if that is not allowed."""
        if isinstance(tensor, GradientEdge):
            if self.zeros:
                raise RuntimeError("materialize_grads cannot be used when the given input is a GradientEdge")
            shown = tensor.node.name()
        else:
            shown = f"of shape {list(tensor.shape)}"
            if self.zeros:
                return Tensor._wrap(np.zeros_like(tensor._array)).requires_grad_(self.requires_grad)
        if self.allowed:
            return None
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if this is "
            f"the desired behavior: it is input {position} ({shown})"
        )


def _as_tensor(g: Any) -> Tensor:
    """The gradient *g* that reached a target, as the user gets it: over memory of its own, in PyTorch's convention."""
    g = conjugated(g)
    if isinstance(g, Tensor):
        return g
    array = as_array(g)
    return Tensor._wrap(array if array.base is None and array.flags.writeable else array.copy())


def _listed(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, (Tensor, GradientEdge)) else list(tensors)


def _listed_or_none(weights: Any, count: int, name: str) -> list[Any]:
    if weights is None:
        return [None] * count
    listed = list(weights) if isinstance(weights, (tuple, list)) else [weights]
    for weight in listed:
        if weight is not None and not isinstance(weight, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(weight).__name__}")
    if len(listed) != count:
        raise RuntimeError(f"got {count} tensors and {len(listed)} gradients: {name} wants one for each tensor")
    return listed


def _node_of_input(tensor: Tensor | GradientEdge) -> Node:
    if isinstance(tensor, GradientEdge):
        return tensor.target
    if not isinstance(tensor, Tensor):
        raise TypeError(f"gradients can be taken with respect to Tensors only, found {type(tensor).__name__}")
    if tensor._view is not None:
        tensor._view.refresh(tensor)
    if tensor._node is None:
        raise RuntimeError(
            "One of the differentiated Tensors does not require grad: call .requires_grad_() on it before it is used"
        )
    return tensor._node


def _roots(outputs: Sequence[Tensor], weights: Sequence[Any], create_graph: bool) -> list[tuple[Node, Any]]:
    roots = []
    for position, (tensor, weight) in enumerate(zip(outputs, weights, strict=True)):
        if isinstance(tensor, GradientEdge):
            if weight is None:
                raise RuntimeError(
                    "grad can be implicitly created only for tensors: give a gradient for each GradientEdge among the outputs"
                )
            g = conjugated(weight)
            roots.append((tensor.target, g if create_graph else g._array))
            continue
        if tensor._view is not None:
            tensor._view.refresh(tensor)
        if tensor._node is None:
            raise RuntimeError(
                f"element {position} of tensors does not require grad and does not have a grad_fn: {_why_constant(tensor)}"
            )
        g = conjugated(_weight(tensor, weight, position))
        roots.append((tensor._node, g if create_graph else g._array))
    return roots


def _why_constant(tensor: Tensor) -> str:
    if tensor._array.dtype.kind not in "fc":
        return (
            f"it is of type {tensor.dtype} {list(tensor.shape)}, and only floating-point tensors can be differentiated"
        )
    if not mode.enabled:
        return "recording is off here (torch.no_grad or set_grad_enabled(False))"
    return (
        "none of the tensors it was made from requires grad, or it was made inside torch.no_grad(), detached, or "
        "made from numbers. Mark what is to be trained with requires_grad=True before the computation: setting it on the "
        "result would train nothing"
    )


def _weight(tensor: Tensor, weight: Any, position: int) -> Tensor:
    if weight is None:
        if tensor._array.size != 1:
            raise RuntimeError(
                f"grad can be implicitly created only for scalar outputs: this one has shape {list(tensor.shape)}. "
                "Reduce it (.sum(), .mean()), or pass its gradient: backward(gradient=...)"
            )
        if tensor._array.dtype.kind == "c":
            raise RuntimeError(
                f"grad can be implicitly created only for real scalar outputs but got {tensor.dtype}: make a real number "
                "of it (.abs(), .real), or pass its gradient: backward(gradient=...)"
            )
        return Tensor._wrap(np.ones_like(tensor._array))
    if weight._array.shape != tensor._array.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{position}] has a shape of {weight.shape} and output[{position}] has a "
            f"shape of {tensor.shape}."
        )
    if weight._array.dtype != tensor._array.dtype and "c" in weight._array.dtype.kind + tensor._array.dtype.kind:
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
            f"grad_output[{position}] has a dtype of {weight.dtype} and output[{position}] has a dtype of {tensor.dtype}."
        )
    converted: Tensor = weight.to(tensor.dtype)
    return converted


def _backward_method(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensors | None = None,
) -> None:
    backward(self, gradient, retain_graph, create_graph, inputs=inputs)


_backward_method.__name__ = "backward"
_backward_method.__doc__ = backward.__doc__
add_method("backward", _backward_method)
