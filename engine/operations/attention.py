"""Attention: values averaged by how well their keys fit a query."""

from __future__ import annotations

import math

import numpy as np

from ..kernels.activation import softmax
from ..registry import Array, Index, composite, operation
from ..registry.samples import each, on, real, truth
from ..tensors.tensor import Tensor
from .copies import repeat_interleave
from .dropouts import dropout as drop_out
from .linear import matrix_product
from .loss import softmax_backward


@operation(
    lambda g, y, scale: softmax_backward(g, y, -1, scale),
    public=False,
    node_name="SafeSoftmaxBackward0",
    samples=each(
        on(real(2, 3, 4), None, False, 0.5),
        on(real(3, 4), None, True, 1.0),
        on(real(2, 3, 4), truth(3, 4), False, 0.5),
    ),
)
def attention_weights(scores: Array, mask: Index | None, causal: bool, scale: float) -> Array:
    """The softmax of scale · scores (…, L, S) along the last dimension, over the keys that *mask* lets take part.

    *mask* is True for those that do; *causal*: no key later than the query does. Without any, the weights are 0.
    """
    if mask is None and not causal and scores.size:
        return softmax(scores, scores.ndim - 1, scale)
    powers = scores * scores.dtype.type(scale)
    if mask is not None:
        powers = np.where(mask, powers, -np.inf).astype(scores.dtype, copy=False)
    if causal:
        powers[..., np.tri(*scores.shape[-2:]) == 0] = -np.inf
    if not powers.size:
        return powers
    highest = powers.max(axis=-1, keepdims=True)
    highest[highest == -np.inf] = 0
    powers -= highest
    np.exp(powers, out=powers)
    total = powers.sum(axis=-1, keepdims=True)
    total[total == 0] = 1
    powers /= total
    return powers


@composite(
    method=False,
    samples=each(
        on(real(2, 3, 4), real(2, 5, 4), real(2, 5, 3)),
        on(real(2, 3, 4), real(2, 3, 4), real(2, 3, 4), is_causal=True, scale=0.3),
        on(real(1, 2, 3, 2), real(1, 2, 4, 2), real(1, 2, 4, 2), truth(3, 4)),
        on(real(1, 2, 3, 2), real(1, 2, 4, 2), real(1, 2, 4, 2), real(2, 3, 4)),
        on(real(1, 4, 3, 2), real(1, 2, 3, 2), real(1, 2, 3, 2), enable_gqa=True),
    ),
)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale · query @ keyᵀ + mask) @ value (A. Vaswani et al., Attention is all you need, arXiv:1706.03762).

    query (…, L, E), key (…, S, E) and value (…, S, Ev) give (…, L, Ev). *attn_mask* (broadcast to (…, L, S)) is added
    or, if bool, is True for the keys that take part; *is_causal* lets query i see the keys up to i. A query that sees
    no key gets zeros. *dropout_p* leaves out weights at random, always. *scale* is 1 / sqrt(E) if None. *enable_gqa*
    lets groups of heads (dimension -3) of query share a head of key and value. RuntimeError where they do not fit.

    >>> import allgrad as torch
    >>> q = torch.tensor([[1., 0.]])
    >>> torch.nn.functional.scaled_dot_product_attention(q, torch.eye(2), torch.eye(2), scale=1.)
    tensor([[0.7311, 0.2689]])
    """
    _check_operands(query, key, value, attn_mask, is_causal)
    if enable_gqa:
        key, value = _with_heads_of(query, key), _with_heads_of(query, value)
    factor = 1 / math.sqrt(max(query._array.shape[-1], 1)) if scale is None else scale
    scores = matrix_product(query, key.transpose(-2, -1))
    if attn_mask is not None and attn_mask.is_floating_point():
        weights = attention_weights(scores * factor + attn_mask, None, False, 1.0)
    else:
        weights = attention_weights(scores, attn_mask, is_causal, factor)
    return matrix_product(drop_out(weights, dropout_p), value)


def _check_operands(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> None:
    named = {"query": query, "key": key, "value": value}
    if not query.dtype == key.dtype == value.dtype:
        found = ", ".join(f"{name}.dtype: {t.dtype}" for name, t in named.items())
        raise RuntimeError(f"Expected query, key, and value to have the same dtype, but got {found} instead.")
    if query._array.dtype.kind != "f":
        raise RuntimeError(f"scaled_dot_product_attention: expected floating-point tensors but found {query.dtype}")
    if min(t._array.ndim for t in named.values()) < 2:
        found = ", ".join(f"{name}.dim: {t._array.ndim}" for name, t in named.items())
        raise RuntimeError(f"Expected query, key, and value to all be at least 2 dimensional, but got {found} instead.")
    if query._array.shape[-1] != key._array.shape[-1] or key._array.shape[-2] != value._array.shape[-2]:
        raise RuntimeError(
            "scaled_dot_product_attention: query (…, L, E), key (…, S, E) and value (…, S, Ev) must share E and S, found "
            f"{list(query.shape)}, {list(key.shape)} and {list(value.shape)}"
        )
    if mask is None:
        return
    if causal:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True: give one of them"
        )
    if mask.dtype not in (query.dtype, Tensor._wrap(np.zeros(0, np.bool_)).dtype):
        raise RuntimeError(
            f"Expected attn_mask dtype to be bool or to match query dtype, but got attn_mask.dtype: {mask.dtype} and "
            f"query.dtype: {query.dtype} instead."
        )


def _with_heads_of(query: Tensor, shared: Tensor) -> Tensor:
    """*shared* with its heads (dimension -3) repeated until there are as many as *query* has."""
    wanted, found = query._array.shape[-3], shared._array.shape[-3]
    if wanted % found:
        raise RuntimeError(
            f"Number of heads in key and value must divide the number of heads in query, found {found} and {wanted}"
        )
    return shared if wanted == found else repeat_interleave(shared, wanted // found, -3)
