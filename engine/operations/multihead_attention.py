"""Attention of several heads, with projections before and after it: the function behind ``nn.MultiheadAttention``."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np

from ..registry import composite
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .attention import scaled_dot_product_attention
from .creation import zeros
from .dropouts import dropout as drop_out
from .linear import linear, matrix_product
from .pieces import thirds
from .shape import cat


class Projections(NamedTuple):
    """The matrices and biases that make queries, keys and values."""

    query: Tensor | None
    key: Tensor | None
    value: Tensor | None
    together: Tensor | None  # the three of them in one, where all inputs are of the same width
    bias: Tensor | None

    def apply(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values; one product for the three where they come from the same tensor."""
        if self.together is not None and query is key and key is value:
            return thirds(linear(query, self.together, self.bias))
        biases = (None, None, None) if self.bias is None else self.bias.chunk(3)
        weights = (self.query, self.key, self.value) if self.together is None else self.together.chunk(3)
        q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
        return q, k, v


_SELF = (real(3, 2, 4), real(3, 2, 4, high=1.7), real(3, 2, 4, low=-1.5), 4, 2)
_LEARNED = (real(12, 4), real(12), None, None, False, 0.0, real(4, 4), real(4))


@composite(
    method=False,
    samples=each(
        on(*_SELF, *_LEARNED),
        on(*_SELF, *_LEARNED, need_weights=False, attn_mask=np.triu(np.ones((3, 3), dtype=bool), 1)),
        on(*_SELF, *_LEARNED, key_padding_mask=np.array([[False, False, True], [False, True, False]])),
    ),
)
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of several heads, the function behind ``nn.MultiheadAttention``, which explains the arguments.

    query (L, N, E), key and value (S, N, …), or all without N; the result has query's shape. Queries, keys and values
    are their products with thirds of *in_proj_weight* (3E, E) or, if *use_separate_proj_weight*, with
    *q_proj_weight* (E, E), *k_proj_weight* (E, kdim) and *v_proj_weight* (E, vdim). *static_k* and *static_v*
    (N · heads, S, E / heads) take the place of projected keys and values. Masks are True, or -inf, for keys left out.

    Returns:
        The result, and the weights (N, L, S), averaged over the heads or (N, heads, L, S); None unless *need_weights*.
    """
    batched = _check_ranks(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = _all_with_batch(query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    mask = _merged_mask(query, key, key_padding_mask, attn_mask, num_heads)
    _check_widths(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight)
    if use_separate_proj_weight:
        projections = Projections(q_proj_weight, k_proj_weight, v_proj_weight, None, in_proj_bias)
    else:
        projections = Projections(None, None, None, in_proj_weight, in_proj_bias)
    q, k, v = projections.apply(query, key, value)
    heads_of = _Heads(query._array.shape[1], num_heads, embed_dim_to_check // num_heads)
    k = heads_of(k, bias_k) if static_k is None else heads_of.checked("static_k", static_k)
    v = heads_of(v, bias_v) if static_v is None else heads_of.checked("static_v", static_v)
    extra = (bias_k is not None) + add_zero_attn
    if add_zero_attn:
        k, v = (cat([x, zeros(x._array.shape[0], 1, x._array.shape[2], dtype=x.dtype)], 1) for x in (k, v))
    if mask is not None and extra:
        mask = cat([mask, zeros(*mask._array.shape[:-1], extra, dtype=mask.dtype)], -1)
    made, weights = _attend(heads_of(q), k, v, mask, dropout_p if training else 0.0, need_weights)
    length, batch, width = query._array.shape
    result = linear(made.transpose(0, 1).reshape(length * batch, width), out_proj_weight, out_proj_bias)
    result = result.reshape(length, batch, result._array.shape[-1])
    if weights is not None:
        weights = weights.reshape(batch, num_heads, *weights._array.shape[1:])
        weights = weights.mean(1) if average_attn_weights else weights
    if not batched:
        return result.squeeze(1), None if weights is None else weights.squeeze(0)
    return result, weights


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    """The result of every head, and the weights it used if wanted; there a query without keys is nan, as in PyTorch."""
    if not need_weights:
        return scaled_dot_product_attention(q, k, v, mask, dropout), None
    scores = matrix_product(q * math.sqrt(1 / q._array.shape[-1]), k.transpose(-2, -1))
    weights = drop_out((scores if mask is None else scores + mask).softmax(-1), dropout)
    return matrix_product(weights, v), weights


class _Heads(NamedTuple):
    """How (length, batch, heads · width) becomes (batch · heads, length, width)."""

    batch: int
    heads: int
    width: int

    def __call__(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return *x* divided into heads, *bias* (1, 1, heads · width) behind the last step if given."""
        if bias is not None:
            x = cat([x, bias.repeat(1, self.batch, 1)])
        divided: Tensor = x.reshape(x._array.shape[0], self.batch * self.heads, self.width).transpose(0, 1)
        return divided

    def checked(self, name: str, given: Tensor) -> Tensor:
        """Return *given*, which is divided into heads already; AssertionError if not into these."""
        shape, heads = given._array.shape, self.batch * self.heads
        if shape[0] != heads or shape[2] != self.width:
            raise AssertionError(f"expecting {name} of shape [{heads}, S, {self.width}], but got {list(shape)}")
        return given


def _all_with_batch(*tensors: Tensor) -> list[Tensor]:
    """*tensors* (length, width) as (length, 1, width); the same tensor stays the same, for ``Projections``."""
    made = {id(t): t.unsqueeze(1) for t in tensors}
    return [made[id(t)] for t in tensors]


def _check_ranks(
    query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, mask: Tensor | None, num_heads: int
) -> bool:
    """Whether there is a batch dimension; AssertionError if the numbers of dimensions do not fit together."""
    dims = query._array.ndim
    if dims not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {dims}-D query tensor")
    kind = "batched (3-D)" if dims == 3 else "unbatched (2-D)"
    if key._array.ndim != dims or value._array.ndim != dims:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {dims}-D but found {key._array.ndim}-D and "
            f"{value._array.ndim}-D tensors respectively"
        )
    if padding is not None and padding._array.ndim != dims - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {dims - 1}-D but found "
            f"{padding._array.ndim}-D tensor instead"
        )
    if mask is not None and mask._array.ndim not in (2, 3):
        raise AssertionError(
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {mask._array.ndim}-D tensor instead"
        )
    if dims == 2 and mask is not None and mask._array.ndim == 3:
        expected = (num_heads, query._array.shape[0], key._array.shape[0])
        if mask._array.shape != expected:
            raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {tuple(mask.shape)}")
    return dims == 3


def _check_widths(query: Tensor, key: Tensor, value: Tensor, width: int, heads: int, separate: bool) -> None:
    if query._array.shape[2] != width:
        raise AssertionError(f"was expecting embedding dimension of {width}, but got {query._array.shape[2]}")
    if width % heads:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {heads}")
    if separate and key._array.shape[:2] != value._array.shape[:2]:
        raise AssertionError(f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}")
    if not separate and key._array.shape != value._array.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")


def _merged_mask(query: Tensor, key: Tensor, padding: Tensor | None, mask: Tensor | None, heads: int) -> Tensor | None:
    """What is added to the scores (N · heads, L, S): *mask*, and *padding* (N, S) for every head and query."""
    length, batch, _ = query._array.shape
    source = key._array.shape[0]
    if padding is not None and mask is not None and (padding.is_floating_point() != mask.is_floating_point()):
        warnings.warn(
            "Support for mismatched key_padding_mask and attn_mask is deprecated. Use same type for both instead.",
            UserWarning,
            stacklevel=4,
        )
    if mask is not None:
        expected = (length, source) if mask._array.ndim == 2 else (batch * heads, length, source)
        if mask._array.shape != expected:
            raise RuntimeError(
                f"The shape of the {mask._array.ndim}D attn_mask is {mask.shape}, but should be {expected}."
            )
        mask = added_mask("attn_mask", mask, query)
        mask = mask.unsqueeze(0) if mask._array.ndim == 2 else mask
    if padding is None:
        return mask
    if padding._array.shape != (batch, source):
        raise AssertionError(
            f"Expected key_padded_mask.shape[0] to be {batch} and [1] to be {source}, but got {list(padding.shape)}"
        )
    spread = added_mask("key_padding_mask", padding, query).reshape(batch, 1, 1, source)
    spread = spread.expand(batch, heads, 1, source).reshape(batch * heads, 1, source)
    return spread if mask is None else mask + spread


def added_mask(name: str, mask: Tensor, like: Tensor) -> Tensor:
    """*mask* as what is added to scores: -inf where a bool mask is True; AssertionError for other whole numbers."""
    if mask.is_floating_point():
        return mask
    if mask._array.dtype != np.bool_:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    return Tensor._wrap(np.where(mask._array, -np.inf, 0).astype(like._array.dtype))
