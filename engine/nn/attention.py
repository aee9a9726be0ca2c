"""Attention of several heads, as a module."""

from __future__ import annotations

from typing import Any

from ..operations.creation import empty
from ..operations.multihead_attention import multi_head_attention_forward
from ..tensors.parameter import Parameter
from ..tensors.tensor import Tensor
from . import init
from .linear import Linear
from .module import Module


class NonDynamicallyQuantizableLinear(Linear):
    """A Linear; the name is the one under which PyTorch prints the output projection."""


class MultiheadAttention(Module):
    """Attention of several heads: each averages projected values by how well their projected keys fit a query.

    A. Vaswani et al., Attention is all you need (arXiv:1706.03762).

    Args:
        embed_dim: width E of queries and of the result; each head has embed_dim / num_heads of it.
        num_heads: how many heads there are; they divide embed_dim.
        dropout: probability by which a weight is left out while training.
        bias: the projections add a learned vector.
        add_bias_kv: add one learned key and value behind the others.
        add_zero_attn: add a key and a value of zeros behind the others.
        kdim: width of the keys; embed_dim if None.
        vdim: width of the values; embed_dim if None.
        batch_first: tensors are (N, L, E), not (L, N, E).

    Raises:
        ValueError: embed_dim or num_heads is not positive.
        AssertionError: num_heads does not divide embed_dim.

    Example:
        >>> import allgrad as torch
        >>> layer = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        >>> x = torch.zeros(3, 5, 8)
        >>> result, weights = layer(x, x, x)
        >>> result.shape, weights.shape
        (torch.Size([3, 5, 8]), torch.Size([3, 5, 5]))
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError(f"embed_dim must be divisible by num_heads, found {embed_dim} and {num_heads}")

        def learned(wanted: bool, *shape: int) -> Parameter | None:
            return Parameter(empty(*shape, device=device, dtype=dtype)) if wanted else None

        separate = not self._qkv_same_embed_dim
        self.register_parameter("q_proj_weight", learned(separate, embed_dim, embed_dim))
        self.register_parameter("k_proj_weight", learned(separate, embed_dim, self.kdim))
        self.register_parameter("v_proj_weight", learned(separate, embed_dim, self.vdim))
        self.register_parameter("in_proj_weight", learned(not separate, 3 * embed_dim, embed_dim))
        self.register_parameter("in_proj_bias", learned(bias, 3 * embed_dim))
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, device, dtype)
        self.register_parameter("bias_k", learned(add_bias_kv, 1, 1, embed_dim))
        self.register_parameter("bias_v", learned(add_bias_kv, 1, 1, embed_dim))
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight, self.in_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the result (L, N, E), of query's shape, and the weights (N, L, S); None unless *need_weights*.

        Args:
            query: (L, N, E), or (L, E) without a batch; (N, L, E) if batch_first.
            key: (S, N, kdim), (S, kdim) or (N, S, kdim).
            value: (S, N, vdim), (S, vdim) or (N, S, vdim).
            key_padding_mask: (N, S) or (S); bool, True for keys that do not count, or floating, added to the scores.
            need_weights: return the weights too.
            attn_mask: (L, S) or (N · heads, L, S), as *key_padding_mask* but for every query.
            average_attn_weights: weights averaged over the heads, not (N, heads, L, S).
            is_causal: says that *attn_mask*, which must be given, is the causal one.

        Raises:
            AssertionError, RuntimeError: shapes that do not fit.
        """
        turned = self.batch_first and query.ndim == 3
        if turned:
            made = {id(x): x.transpose(0, 1) for x in (query, key, value)}
            query, key, value = made[id(query)], made[id(key)], made[id(value)]
        result, weights = multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias,
            self.bias_k, self.bias_v, self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias,
            training=self.training, key_padding_mask=key_padding_mask, need_weights=need_weights, attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim, q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight, v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights, is_causal=is_causal,
        )  # fmt: skip
        return (result.transpose(0, 1) if turned else result), weights

    def summary(self) -> str:
        return f"{self._get_name()} {self.embed_dim}, {self.num_heads} heads"
