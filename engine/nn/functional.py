"""The operations of networks as functions: ``import allgrad.nn.functional as F``."""

from ..operations.activation import (
    gelu,
    glu,
    gumbel_softmax,
    logsigmoid,
    mish,
    silu,
    softmin,
    softplus,
    softsign,
    tanhshrink,
)
from ..operations.attention import scaled_dot_product_attention
from ..operations.binary_losses import binary_cross_entropy, binary_cross_entropy_with_logits
from ..operations.convolution import avg_pool2d, conv2d, max_pool2d
from ..operations.dropouts import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from ..operations.elementwise import sigmoid, tanh
from ..operations.embeddings import embedding, embedding_bag
from ..operations.grid_sampling import affine_grid, grid_sample
from ..operations.group_norms import group_norm, instance_norm, local_response_norm, rms_norm
from ..operations.indexing import one_hot
from ..operations.interpolation import interpolate, upsample, upsample_bilinear, upsample_nearest
from ..operations.linear import linear
from ..operations.loss import (
    cross_entropy,
    log_softmax,
    nll_loss,
    softmax,
)
from ..operations.multihead_attention import multi_head_attention_forward
from ..operations.normalization import batch_norm, layer_norm, normalize
from ..operations.padding import pad
from ..operations.rectifiers import (
    celu,
    celu_,
    elu,
    elu_,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    hardtanh_,
    leaky_relu,
    leaky_relu_,
    prelu,
    relu,
    relu6,
    relu_,
    rrelu,
    rrelu_,
    selu,
    selu_,
    softshrink,
    threshold,
    threshold_,
)
from ..operations.regression_losses import huber_loss, l1_loss, mse_loss, smooth_l1_loss
from ..operations.shuffles import channel_shuffle, native_channel_shuffle, pixel_shuffle, pixel_unshuffle
from ..operations.tensor_products import bilinear

__all__ = [
    "affine_grid",
    "alpha_dropout",
    "avg_pool2d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "channel_shuffle",
    "conv2d",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "max_pool2d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "native_channel_shuffle",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "rrelu",
    "rrelu_",
    "scaled_dot_product_attention",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]
