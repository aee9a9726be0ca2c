"""What may be asked of, and hooked into, a recorded graph and its backward passes."""

from ..tape.nodes import (
    AccumulateGrad,
    Handle,
    Node,
    add_between_operations,
    queue_callback,
    set_gradient_destination,
)
from .drawing import Graph
from .edges import GradientEdge, get_gradient_edge
from .multi_grad import register_multi_grad_hook
from .saved_tensors import (
    allow_mutation_on_saved_tensors,
    disable_saved_tensors_hooks,
    increment_version,
    save_on_cpu,
    saved_tensors_hooks,
)

__all__ = [
    "AccumulateGrad",
    "GradientEdge",
    "Graph",
    "Handle",
    "Node",
    "add_between_operations",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "queue_callback",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
    "set_gradient_destination",
]
