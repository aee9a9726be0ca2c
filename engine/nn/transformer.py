"""Transformers: layers of attention and of small networks for each position, as encoder, decoder and both."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ..operations.activation import gelu
from ..operations.creation import full
from ..operations.elementwise import relu
from ..operations.rearranging import triu
from ..tensors.tensor import Tensor
from . import init
from .attention import MultiheadAttention
from .containers import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

Activation = str | Callable[[Tensor], Tensor]


def _activation(named: Activation) -> Callable[[Tensor], Tensor]:
    if not isinstance(named, str):
        return named
    known = {"relu": relu, "gelu": gelu}
    if named not in known:
        raise RuntimeError(f"activation should be relu/gelu, not {named}: give any other as a function")
    return known[named]


class _Layer(Module):
    """What encoder and decoder layers share: attention to oneself and a network for each position, each with a norm."""

    sublayers = 2

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()

        def attention() -> MultiheadAttention:
            return MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, device=device, dtype=dtype
            )

        self.self_attn = attention()
        if self.sublayers == 3:
            self.multihead_attn = attention()
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm_first = norm_first
        for number in range(1, self.sublayers + 1):
            setattr(self, f"norm{number}", LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype))
        for number in range(1, self.sublayers + 1):
            setattr(self, f"dropout{number}", Dropout(dropout))
        self.activation = _activation(activation)

    def _added(self, number: int, x: Tensor, part: Callable[[Tensor], Tensor]) -> Tensor:
        """*x* plus the sublayer *part* of it, normalised before the part or after the sum."""
        norm, dropout = getattr(self, f"norm{number}"), getattr(self, f"dropout{number}")
        if self.norm_first:
            return x + dropout(part(norm(x)))  # type: ignore[no-any-return]
        return norm(x + dropout(part(x)))  # type: ignore[no-any-return]

    def _own_attention(self, mask: Tensor | None, padding: Tensor | None, causal: bool) -> Callable[[Tensor], Tensor]:
        return lambda x: self.self_attn(x, x, x, padding, False, mask, is_causal=causal)[0]

    def _network(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))  # type: ignore[no-any-return]


class TransformerEncoderLayer(_Layer):
    """Attention of a sequence to itself, then a small network for each position; each is added to its input.

    A. Vaswani et al., Attention is all you need (arXiv:1706.03762).

    Args:
        d_model: width of the sequence.
        nhead: heads of the attention.
        dim_feedforward: width of the network's hidden layer.
        dropout: probability by which an element is left out while training.
        activation: "relu", "gelu" or a function.
        layer_norm_eps: what the normalisations add to the variance.
        batch_first: sequences are (N, L, d_model), not (L, N, d_model).
        norm_first: normalise before attention and network, not after the sums.
        bias: layers and normalisations add a learned vector.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.TransformerEncoderLayer(8, 2, 16)(torch.zeros(5, 3, 8)).shape
        torch.Size([5, 3, 8])
    """

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Return *src* (L, N, d_model) transformed; the masks are those of ``MultiheadAttention``."""
        x = self._added(1, src, self._own_attention(src_mask, src_key_padding_mask, is_causal))
        return self._added(2, x, self._network)


class TransformerDecoderLayer(_Layer):
    """As an encoder layer, with attention to another sequence, the memory, after that to itself.

    The arguments are those of ``TransformerEncoderLayer``.

    Example:
        >>> import allgrad as torch
        >>> layer = torch.nn.TransformerDecoderLayer(8, 2, 16)
        >>> layer(torch.zeros(5, 3, 8), torch.zeros(7, 3, 8)).shape
        torch.Size([5, 3, 8])
    """

    sublayers = 3

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Return *tgt* (L, N, d_model) transformed, seeing *memory* (S, N, d_model); masks as in the attention."""

        def to_memory(x: Tensor) -> Tensor:
            attended = self.multihead_attn(
                x, memory, memory, memory_key_padding_mask, False, memory_mask, is_causal=memory_is_causal
            )
            return attended[0]  # type: ignore[no-any-return]

        x = self._added(1, tgt, self._own_attention(tgt_mask, tgt_key_padding_mask, tgt_is_causal))
        x = self._added(2, x, to_memory)
        return self._added(3, x, self._network)


def _copies(layer: Module, count: int) -> ModuleList:
    return ModuleList(copy.deepcopy(layer) for _ in range(count))


class TransformerEncoder(Module):
    """*num_layers* copies of an encoder layer in sequence, and a normalisation behind them if *norm* is given.

    *enable_nested_tensor* and *mask_check* are accepted for PyTorch's sake and change nothing: positions that padding
    masks out are computed as all others.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Return *src* (L, N, d_model) after all layers; *is_causal* None finds out whether *mask* is causal."""
        causal = _is_causal(mask) if is_causal is None else is_causal
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """*num_layers* copies of a decoder layer in sequence, and a normalisation behind them if *norm* is given."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Return *tgt* (L, N, d_model) after all layers, each of which sees *memory* (S, N, d_model)."""
        causal = _is_causal(tgt_mask) if tgt_is_causal is None else tgt_is_causal
        for layer in self.layers:
            tgt = layer(
                tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask, causal,
                memory_is_causal,
            )  # fmt: skip
        return tgt if self.norm is None else self.norm(tgt)


def _is_causal(mask: Tensor | None) -> bool:
    """Whether *mask* is the one that ``generate_square_subsequent_mask`` makes."""
    if mask is None or mask.ndim != 2 or mask.shape[0] != mask.shape[1] or not mask.is_floating_point():
        return False
    return bool(np.array_equal(mask._array, _causal(mask.shape[0], None, mask.dtype)._array))


def _causal(size: int, device: Any, dtype: Any) -> Tensor:
    made: Tensor = triu(full((size, size), -np.inf, device=device, dtype=dtype), 1)
    return made


class Transformer(Module):
    """An encoder of one sequence and a decoder of another that sees what the encoder made.

    A. Vaswani et al., Attention is all you need (arXiv:1706.03762).

    Args:
        d_model: width of both sequences.
        nhead: heads of every attention.
        num_encoder_layers: layers of the encoder.
        num_decoder_layers: layers of the decoder.
        dim_feedforward: width of the networks' hidden layers.
        dropout: probability by which an element is left out while training.
        activation: "relu", "gelu" or a function.
        custom_encoder: a module to take for the encoder.
        custom_decoder: a module to take for the decoder.
        layer_norm_eps: what the normalisations add to the variance.
        batch_first: sequences are (N, L, d_model), not (L, N, d_model).
        norm_first: normalise before attention and network, not after the sums.
        bias: layers and normalisations add a learned vector.

    Example:
        >>> import allgrad as torch
        >>> model = torch.nn.Transformer(8, 2, 1, 1, 16)
        >>> model(torch.zeros(7, 3, 8), torch.zeros(5, 3, 8)).shape
        torch.Size([5, 3, 8])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)

        if custom_encoder is None:
            encoder_layer = TransformerEncoderLayer(*options, device, dtype)
            custom_encoder = TransformerEncoder(encoder_layer, num_encoder_layers, norm())
        if custom_decoder is None:
            decoder_layer = TransformerDecoderLayer(*options, device, dtype)
            custom_decoder = TransformerDecoder(decoder_layer, num_decoder_layers, norm())
        self.encoder, self.decoder = custom_encoder, custom_decoder
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Return *tgt* (L, N, d_model) decoded, seeing *src* (S, N, d_model) encoded; RuntimeError if they do not fit."""
        self._check(src, tgt)
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(  # type: ignore[no-any-return]
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    def _check(self, src: Tensor, tgt: Tensor) -> None:
        batch = 0 if self.batch_first else 1
        if src.ndim == 3 and tgt.ndim == 3 and src.shape[batch] != tgt.shape[batch]:
            raise RuntimeError(
                f"the batch number of src and tgt must be equal, found {src.shape[batch]} and {tgt.shape[batch]}"
            )
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise RuntimeError(
                f"the feature number of src and tgt must be equal to d_model, which is {self.d_model}, found "
                f"{src.shape[-1]} and {tgt.shape[-1]}"
            )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """Return a mask (sz, sz) to add to scores that hides what comes later: -inf above the diagonal, 0 elsewhere."""
        return _causal(sz, device, dtype)
