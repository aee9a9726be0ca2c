"""The operations of networks as functions: ``import allgrad.nn.functional as F``."""

from ..operations.activation import (
    elu,
    gelu,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    relu6,
    silu,
    softplus,
    softsign,
)
from ..operations.attention import scaled_dot_product_attention
from ..operations.binary_losses import binary_cross_entropy, binary_cross_entropy_with_logits
from ..operations.convolution import avg_pool2d, conv2d, max_pool2d
from ..operations.creation import dropout
from ..operations.elementwise import relu, sigmoid, tanh
from ..operations.indexing import embedding, one_hot
from ..operations.linear import linear
from ..operations.loss import (
    cross_entropy,
    log_softmax,
    nll_loss,
    softmax,
)
from ..operations.multihead_attention import multi_head_attention_forward
from ..operations.normalization import batch_norm, layer_norm, normalize
from ..operations.regression_losses import huber_loss, l1_loss, mse_loss, smooth_l1_loss

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "hardtanh",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool2d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "nll_loss",
    "normalize",
    "one_hot",
    "relu",
    "relu6",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
]
