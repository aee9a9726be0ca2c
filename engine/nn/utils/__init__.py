"""What PyTorch users look for under ``torch.nn.utils``: clipping gradients, parameters as one vector."""

from . import rnn
from .gradients import clip_grad_norm_, clip_grad_value_, get_total_norm
from .vectors import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "parameters_to_vector",
    "rnn",
    "vector_to_parameters",
]
