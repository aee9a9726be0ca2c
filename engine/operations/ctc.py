"""Connectionist temporal classification: the loss of label sequences whose place in time is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..kernels.ctc import NEVER, Lattice, forward, lattice, log_likelihood, posterior
from ..registry import Array, composite, operation
from ..registry.samples import Samples, around, on, real
from ..tensors.tensor import Tensor
from .comparison import choose
from .gathering import gather, scatter_zeros
from .loss import log_softmax_along, reduced


def _lattice_of(labels: Sequence[int], size: int) -> Any:
    return lattice(
        np.array([labels, labels[::-1]]), np.array([len(labels), len(labels) - 1]), np.array([size, size - 1]), 0
    )


@operation(
    lambda g, emissions, paths: posterior(emissions, paths, g),
    public=False,
    samples=on(real(4, 2, 5), _lattice_of([1, 2], 4)),
)
def ctc_posterior(emissions: Array, paths: Lattice) -> Array:
    """The probability (T, N, S) of being in a state at a frame, given the labels."""
    return np.asarray(posterior(emissions, paths))


def _ctc_rule(g: Any, log_probs: Any, y: Any, paths: Lattice) -> Any:
    """PyTorch's gradient, which takes the log-probabilities for normalised: probabilities less posteriors.

    Behind a ``log_softmax`` it is the derivative; of the probabilities alone that would be minus the posteriors.
    Of an infinite loss it is nan, unless nobody asks for it.
    """
    g = np.where((y == np.inf) & (g != 0), np.nan, g)
    shape = tuple(log_probs.shape)
    index = np.broadcast_to(paths.labels, (shape[0], *paths.labels.shape))
    likely = scatter_zeros(ctc_posterior(gather(log_probs, 2, index), paths), index, shape, 2)
    counts = (np.arange(shape[0])[:, None] < paths.frames)[:, :, None]
    return np.where(counts, np.expand_dims(g, 1) * (np.exp(log_probs) - likely), 0.0)


_LOGS = around(
    lambda f: lambda logits, *rest, **named: f(log_softmax_along(logits, logits.ndim - 1), *rest, **named),
    on(real(4, 2, 3), _lattice_of([1, 2], 4)),
)


@operation(_ctc_rule, public=False, node_name="CtcLossBackward0", samples=_LOGS)
def ctc_likelihood(log_probs: Array, paths: Lattice) -> Array:
    """Minus the logarithm of the probability of the labels of each sample: (N), infinite where no path fits."""
    index = np.broadcast_to(paths.labels, (len(log_probs), *paths.labels.shape))
    emissions = np.maximum(np.take_along_axis(log_probs, index, 2), NEVER)
    if not len(emissions):
        return np.where(paths.last > 0, np.inf, 0).astype(log_probs.dtype)
    total = log_likelihood(forward(emissions, paths)[0], paths)
    total = np.where(paths.frames > 0, total, np.where(paths.last > 0, NEVER, 0))
    return np.where(total < NEVER / 2, np.inf, -total).astype(log_probs.dtype)


def _samples() -> Samples:
    def on_logits(f: Any) -> Any:
        return lambda logits, *rest, **named: f(log_softmax_along(logits, logits.ndim - 1), *rest, **named)

    def samples(generator: Any) -> Any:
        padded = np.array([[1, 2], [2, 2]])
        yield from around(on_logits, on(real(5, 2, 3), padded, (5, 4), (2, 2)))(generator)
        joined = np.array([1, 2, 2])
        yield from around(on_logits, on(real(4, 2, 3), joined, (4, 3), (2, 1), blank=0, reduction="sum"))(generator)
        yield from around(on_logits, on(real(4, 3), np.array([0, 1]), (4,), (2,), blank=2))(generator)

    return samples


@composite(method=False, by_example=True, samples=_samples())
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the logarithm of the probability that the frames, blanks and repetitions taken away, read as the targets.

    A. Graves et al., Connectionist temporal classification (ICML 2006). Unlike PyTorch's, the gradient can be
    differentiated again.

    Args:
        log_probs: (T, N, C), or (T, C) of one sample: logarithms of probabilities, as from ``log_softmax``.
        targets: (N, L) classes, or those of all samples one behind the other, (sum of *target_lengths*).
        input_lengths: how many of the T frames of each sample count, (N).
        target_lengths: how many labels each sample has, (N).
        blank: the class that stands for none.
        reduction: "mean" divides each loss by its number of labels and averages over the samples; "sum" or "none".
        zero_infinity: losses of targets that are too long for their frames are 0, not infinite with a gradient of nan.

    Raises:
        RuntimeError: lengths, classes or types that do not fit.

    Example:
        >>> import allgrad as torch
        >>> even = torch.full((2, 1, 2), 0.5).log()
        >>> torch.nn.functional.ctc_loss(even, torch.tensor([[1]]), (2,), (1,))  # 01, 10 and 11 of four
        tensor(0.2877)
    """
    if log_probs._array.dtype.kind != "f":
        raise NotImplementedError(f'"ctc_loss_cpu" not implemented for {log_probs.dtype}: use .float() first')
    batched = log_probs._array.ndim == 3
    logs = log_probs if batched else log_probs.unsqueeze(1)
    steps, batch, classes = logs._array.shape
    if not 0 <= blank < classes:
        raise RuntimeError(f"blank must be in label range: expected 0 to {classes - 1}, found {blank}")
    frames = _lengths("input_lengths", input_lengths, batch, steps)
    lengths = _lengths("target_lengths", target_lengths, batch, None)
    padded = _padded(targets, lengths, batched, classes)
    losses = ctc_likelihood(logs, lattice(padded, lengths, frames, blank))
    if zero_infinity:
        losses = choose(losses == np.inf, 0.0, losses)
    if reduction == "mean":
        return (losses / Tensor._wrap(np.maximum(lengths, 1))).mean()
    return reduced(losses if batched else losses.squeeze(0), reduction)


def _lengths(name: str, given: Any, batch: int, most: int | None) -> Any:
    """*given* as an array of *batch* whole numbers; RuntimeError if one of them cannot be."""
    found = np.asarray(given._array if isinstance(given, Tensor) else given).reshape(-1)
    if found.size and found.dtype.kind not in "iu":
        raise RuntimeError(f"{name} must be integral, found {found.dtype}")
    if found.size != batch:
        raise RuntimeError(f"{name} must be of size batch_size, which is {batch}, found {found.size}")
    if batch and found.min() < 0:
        raise RuntimeError(f"Expected {name} to have value at least 0, but got value {found.min()}")
    if batch and most is not None and found.max() > most:
        raise RuntimeError(f"Expected {name} to have value at most {most}, but got value {found.max()}")
    return found.astype(np.int64)


def _padded(targets: Tensor, lengths: Any, batched: bool, classes: int) -> Any:
    """*targets* as (N, longest), what is behind a sample's labels being 0."""
    given, longest = targets._array, int(lengths.max(initial=0))
    if given.ndim == 1 and (batched or given.size == lengths.sum()):
        if given.size != lengths.sum():
            raise RuntimeError(
                f"Expected targets of size {lengths.sum()}, the sum of target_lengths, but got size {given.size}"
            )
        place = (np.cumsum(lengths) - lengths)[:, None] + np.arange(longest)
    else:
        given = given.reshape(len(lengths), -1)
        if given.shape[1] < longest:
            raise RuntimeError(
                f"Expected targets to have size at least {longest} at dimension 1, but got size {given.shape[1]}"
            )
        place = np.arange(len(lengths))[:, None] * given.shape[1] + np.arange(longest)
    counts = np.arange(longest) < lengths[:, None]
    labels = np.where(counts, given.reshape(-1)[np.where(counts, place, 0)], 0) if given.size else np.zeros_like(place)
    labels = labels.astype(np.int64)
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise RuntimeError(f"targets: expected classes from 0 to {classes - 1}, found {labels.min()} to {labels.max()}")
    return labels
