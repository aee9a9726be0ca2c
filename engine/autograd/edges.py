"""Edges of a graph as objects, which stay good when the tensor they led from is gone."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..tape.nodes import Node, Output
from ..tensors.tensor import Tensor


class GradientEdge(NamedTuple):
    """The edge along which a tensor's gradient arrives: output *output_nr* of *node*.

    It may stand for the tensor in ``backward`` and ``grad``, as output or as input.
    """

    node: Node
    output_nr: int
    ownership_token: Any = None  # what keeps the end of the edge alive

    @property
    def target(self) -> Node:
        """The node that gathers the gradient arriving here."""
        return self.ownership_token if isinstance(self.ownership_token, Node) else self.node


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge that leads to what made *tensor*. RuntimeError if it does not require grad.

    >>> import allgrad as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> middle = x * 2
    >>> edge = torch.autograd.graph.get_gradient_edge(middle)
    >>> loss = (middle * 3).sum(); del middle
    >>> torch.autograd.grad(loss, edge)
    (tensor([3., 3.]),)
    """
    if tensor._view is not None:
        tensor._view.refresh(tensor)
    node = tensor._node
    if node is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require gradients: call "
            ".requires_grad_() on it before it is used"
        )
    if isinstance(node, Output):
        return GradientEdge(node.parent, node.index, node)
    return GradientEdge(node, 0, tensor if tensor.is_leaf else None)
