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
from ..operations.ctc import ctc_loss
from ..operations.distances import cosine_similarity, pairwise_distance, pdist
from ..operations.elementwise import relu, sigmoid, tanh
from ..operations.indexing import embedding, one_hot
from ..operations.linear import linear
from ..operations.loss import (
    cross_entropy,
    log_softmax,
    nll_loss,
    softmax,
)
from ..operations.margin_losses import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from ..operations.multihead_attention import multi_head_attention_forward
from ..operations.normalization import batch_norm, layer_norm, normalize
from ..operations.regression_losses import (
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv2d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "elu",
    "embedding",
    "gaussian_nll_loss",
    "gelu",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "max_pool2d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pairwise_distance",
    "pdist",
    "poisson_nll_loss",
    "relu",
    "relu6",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]
