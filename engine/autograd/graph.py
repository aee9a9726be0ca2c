"""What may be asked of, and hooked into, a recorded graph and its backward passes."""

from ..tape.nodes import (
    AccumulateGrad,
    Handle,
    Node,
    add_between_operations,
    queue_callback,
    set_gradient_destination,
)

__all__ = [
    "AccumulateGrad",
    "Handle",
    "Node",
    "add_between_operations",
    "queue_callback",
    "set_gradient_destination",
]
