"""Attention and transformers: held against formulas, and against PyTorch, weight for weight, where it is installed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import allgrad
from allgrad import nn
from allgrad.autograd import gradcheck, gradgradcheck
from allgrad.nn.functional import multi_head_attention_forward, scaled_dot_product_attention

from .test_layers import copied


def numbers(*shape: int, seed: int = 0) -> Any:
    return allgrad.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_attention_is_an_average_of_values() -> None:
    q, k, v = numbers(2, 3, 4), numbers(2, 5, 4, seed=1), numbers(2, 5, 6, seed=2)
    scores = np.exp(q.numpy() @ k.numpy().swapaxes(1, 2) / 2)
    expected = scores / scores.sum(-1, keepdims=True) @ v.numpy()
    np.testing.assert_allclose(scaled_dot_product_attention(q, k, v).numpy(), expected, rtol=1e-12)


def test_masks_by_truth_by_number_and_by_cause_agree() -> None:
    q = numbers(2, 4, 3)
    seen = allgrad.ones(4, 4, dtype=allgrad.bool).tril()
    added = allgrad.zeros(4, 4, dtype=allgrad.float64).masked_fill(~seen, -np.inf)
    causal = scaled_dot_product_attention(q, q, q, is_causal=True).numpy()
    np.testing.assert_allclose(scaled_dot_product_attention(q, q, q, seen).numpy(), causal, rtol=1e-12)
    np.testing.assert_allclose(scaled_dot_product_attention(q, q, q, added).numpy(), causal, rtol=1e-12)


def test_a_query_that_sees_no_key_gets_zeros_and_no_gradient() -> None:
    q = numbers(1, 2, 3).requires_grad_()
    result = scaled_dot_product_attention(q, q, q, allgrad.tensor([[False, False], [True, True]]))
    assert not result[0, 0].any()
    result[0, 0].sum().backward()
    assert q.grad is not None
    assert not q.grad.any()


def test_groups_of_heads_share_keys() -> None:
    q, k = numbers(1, 4, 3, 2), numbers(1, 2, 3, 2, seed=1)
    shared = scaled_dot_product_attention(q, k, k, enable_gqa=True)
    apart = scaled_dot_product_attention(q, k.repeat_interleave(2, 1), k.repeat_interleave(2, 1))
    assert allgrad.equal(shared, apart)


def test_attention_can_be_differentiated_twice() -> None:
    inputs = tuple(numbers(1, 2, 2, seed=i).requires_grad_() for i in range(3))
    assert gradcheck(lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True), inputs)
    assert gradgradcheck(lambda q, k, v: scaled_dot_product_attention(q, k, v), inputs)


def test_dropout_of_weights_is_always_drawn() -> None:
    q = numbers(2, 8, 4)
    assert not allgrad.equal(
        scaled_dot_product_attention(q, q, q, dropout_p=0.5), scaled_dot_product_attention(q, q, q)
    )


ATTENTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"bias": False, "batch_first": True}, {"need_weights": False}),
    ({"kdim": 3, "vdim": 5}, {"average_attn_weights": False}),
    ({"add_bias_kv": True, "add_zero_attn": True}, {"key_padding_mask": [[False, False, True], [False, True, False]]}),
    ({}, {"attn_mask": [[0.0, -1.0, 2.0]] * 4, "need_weights": False}),
]


@pytest.mark.parametrize(("options", "call"), ATTENTIONS, ids=lambda value: str(value).replace(" ", ""))
def test_attention_of_several_heads_equals_pytorchs(options: dict[str, Any], call: dict[str, Any]) -> None:
    torch: Any = pytest.importorskip("torch")
    theirs = torch.nn.MultiheadAttention(4, 2, dtype=torch.float64, **options)
    ours = nn.MultiheadAttention(4, 2, dtype=allgrad.float64, **options)
    copied(torch, theirs, ours)
    assert repr(ours) == repr(theirs)
    rng = np.random.default_rng(0)
    shapes = [(4, 2, 4), (3, 2, options.get("kdim", 4)), (3, 2, options.get("vdim", 4))]
    values = [rng.standard_normal(s).swapaxes(0, 1 if options.get("batch_first") else 0) for s in shapes]

    def run(library: Any, net: Any) -> list[Any]:
        inputs = [library.from_numpy(v.copy()).requires_grad_() for v in values]
        masks = {k: library.tensor(np.asarray(v)) if isinstance(v, list) else v for k, v in call.items()}
        results = [t for t in net(*inputs, **masks) if t is not None]
        sum((t * t).sum() for t in results).backward()
        learned = [p.grad.numpy() for p in net.parameters()]
        return [*(t.detach().numpy() for t in results), *(x.grad.numpy() for x in inputs), *learned]

    for found, expected in zip(run(allgrad, ours), run(torch, theirs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_transformers_equal_pytorchs(norm_first: bool, batch_first: bool) -> None:
    torch: Any = pytest.importorskip("torch")
    options = {"dropout": 0.0, "activation": "gelu", "norm_first": norm_first, "batch_first": batch_first}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, of its nested tensors
        theirs = torch.nn.Transformer(4, 2, 2, 1, 6, dtype=torch.float64, **options)
    ours = nn.Transformer(4, 2, 2, 1, 6, dtype=allgrad.float64, **options)
    copied(torch, theirs, ours)
    assert repr(ours) == repr(theirs)
    src, tgt = (np.random.default_rng(i).standard_normal((3, 3, 4)) for i in range(2))
    hidden = np.array([[False, False, True], [False, False, False], [False, True, True]])

    def run(library: Any, net: Any) -> list[Any]:
        mask = net.generate_square_subsequent_mask(3, dtype=library.float64)
        padding = library.from_numpy(hidden)
        x = library.from_numpy(src).requires_grad_()
        result = net(x, library.from_numpy(tgt), tgt_mask=mask, src_key_padding_mask=padding)
        (result * result).sum().backward()
        return [result.detach().numpy(), x.grad.numpy(), *(p.grad.numpy() for p in net.parameters())]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = run(torch, theirs)
    for a, b in zip(run(allgrad, ours), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_a_decoder_does_not_see_what_comes_later() -> None:
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, dropout=0.0), 2, nn.LayerNorm(4))
    memory, tgt = allgrad.randn(3, 1, 4), allgrad.randn(5, 1, 4)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    whole = decoder(tgt, memory, tgt_mask=mask)
    part = decoder(tgt[:2], memory, tgt_mask=mask[:2, :2])
    np.testing.assert_allclose(whole[:2].detach().numpy(), part.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_the_layers_of_an_encoder_are_copies_with_weights_of_their_own() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8)
    encoder = nn.TransformerEncoder(layer, 2)
    first, second = (block.linear1.weight for block in encoder.layers)
    assert first is not second
    assert allgrad.equal(first, second)


Q = allgrad.ones(2, 3, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: scaled_dot_product_attention(Q, Q.double(), Q), RuntimeError, "to have the same dtype"),
        (
            lambda: scaled_dot_product_attention(Q, Q[..., :3], Q),
            RuntimeError,
            r"must share E and S, found \[2, 3, 4\]",
        ),
        (lambda: scaled_dot_product_attention(Q[0, 0], Q, Q), RuntimeError, "at least 2 dimensional"),
        (lambda: scaled_dot_product_attention(Q, Q, Q, Q > 0, is_causal=True), RuntimeError, "should not be set when"),
        (lambda: scaled_dot_product_attention(Q, Q, Q, Q.long()), RuntimeError, "Expected attn_mask dtype"),
        (lambda: nn.MultiheadAttention(5, 2), AssertionError, "divisible by num_heads, found 5 and 2"),
        (lambda: nn.MultiheadAttention(0, 2), ValueError, "must be greater than 0"),
        (lambda: nn.MultiheadAttention(4, 2)(Q, Q, Q[0]), AssertionError, "expected `key` and `value` to be 3-D"),
        (lambda: nn.MultiheadAttention(8, 2)(Q, Q, Q), AssertionError, "embedding dimension of 8, but got 4"),
        (
            lambda: nn.MultiheadAttention(4, 2)(Q, Q, Q, attn_mask=allgrad.ones(3, 3)),
            RuntimeError,
            r"The shape of the 2D attn_mask is torch.Size\(\[3, 3\]\), but should be \(2, 2\)",
        ),
        (lambda: nn.MultiheadAttention(4, 2)(Q, Q, Q, is_causal=True), RuntimeError, "Need attn_mask"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="sine"), RuntimeError, "should be relu/gelu, not sine"),
        (lambda: nn.Transformer(4, 2, 1, 1, 4)(Q, Q[..., :3]), RuntimeError, "equal to d_model, which is 4"),
    ],
)
def test_wrong_shapes_and_types_are_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_masks_of_two_types_warn() -> None:
    layer = nn.MultiheadAttention(4, 2)
    with pytest.warns(UserWarning, match="mismatched key_padding_mask and attn_mask"):
        layer(Q, Q, Q, key_padding_mask=allgrad.zeros(3, 2), attn_mask=allgrad.zeros(2, 2, dtype=allgrad.bool))


def test_static_keys_must_be_divided_into_the_heads() -> None:
    layer = nn.MultiheadAttention(4, 2)
    learned = (layer.in_proj_weight, layer.in_proj_bias, None, None, False, 0.0, layer.out_proj.weight, None)
    with pytest.raises(AssertionError, match=r"expecting static_k of shape \[6, S, 2\], but got \[1, 2, 2\]"):
        multi_head_attention_forward(Q, Q, Q, 4, 2, *learned, static_k=allgrad.ones(1, 2, 2))


def test_attention_of_no_queries_is_empty() -> None:
    nothing = allgrad.ones(0, 1, 4)
    result, weights = nn.MultiheadAttention(4, 2)(nothing, nothing, nothing)
    assert result.shape == (0, 1, 4)
    assert weights.shape == (1, 0, 0)
