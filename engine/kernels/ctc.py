"""The recursions behind connectionist temporal classification, over the states blank, label, blank, … of all samples at once.

A. Graves et al., Connectionist temporal classification (ICML 2006), section 4. Written in NumPy functions and operators
only, so that they run on arrays and, recorded, on tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

NEVER = -1e30  # the logarithm of probability 0, finite so that differences of two of them are no nan


class Lattice(NamedTuple):
    """Which paths count: those from the first states to the last ones within the frames of each sample."""

    labels: Any  # (N, S): the class of each state
    skips: Any  # (N, S): whether a state may follow the state two before it: a label unlike the last one
    frames: Any  # (N): how many frames count
    last: Any  # (N): the last state, the blank behind the last label

    def begins(self) -> Any:
        """Return whether a path may begin in a state: (N, S)."""
        state = np.arange(self.labels.shape[1])
        return (state == 0) | ((state == 1) & (self.last[:, None] > 0))

    def ends(self) -> Any:
        """Return whether a path may end in a state: (N, S)."""
        state, last = np.arange(self.labels.shape[1]), self.last[:, None]
        return (state == last) | ((state == last - 1) & (last > 0))


def lattice(targets: Any, lengths: Any, frames: Any, blank: int) -> Lattice:
    """The lattice of *targets* (N, L), of which the first *lengths* (N) count, with *blank* around every label."""
    batch, longest = targets.shape
    labels = np.full((batch, 2 * longest + 1), blank)
    labels[:, 1::2] = targets
    skips = np.zeros(labels.shape, dtype=bool)
    skips[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return Lattice(labels, skips, np.asarray(frames), 2 * np.asarray(lengths))


def _moved(x: Any, by: int) -> Any:
    """*x* (N, S) moved by *by* states, with NEVER in the states that become free."""
    if abs(by) >= tuple(x.shape)[1]:
        return np.full_like(x, NEVER)
    if by > 0:
        return np.concatenate([np.full_like(x[:, :by], NEVER), x[:, :-by]], axis=1)
    return np.concatenate([x[:, -by:], np.full_like(x[:, by:], NEVER)], axis=1)


def _joined(ways: Sequence[Any]) -> tuple[Any, list[Any]]:
    """The logarithm of the sum of the probabilities of *ways*, and the share of each."""
    highest = np.maximum(np.maximum(ways[0], ways[1]), ways[2])
    parts = [np.exp(way - highest) for way in ways]
    total = parts[0] + parts[1] + parts[2]
    return highest + np.log(total), [part / total for part in parts]


def _step(x: Any, skips: Any, direction: int) -> tuple[Any, list[Any]]:
    """Where paths with logarithms *x* are after one move: they stay, go on by one state, or by two where *skips*."""
    allowed = np.where(skips, _moved(x, 2), NEVER) if direction > 0 else _moved(np.where(skips, x, NEVER), -2)
    return _joined([x, _moved(x, direction), allowed])


def _step_tangent(tangent: Any, shares: list[Any], direction: int) -> Any:
    """How ``_step`` changes with *tangent*, that of its operand."""
    return shares[0] * tangent + shares[1] * _moved(tangent, direction) + shares[2] * _moved(tangent, 2 * direction)


def forward(emissions: Any, paths: Lattice, tangents: Any = None) -> tuple[list[Any], list[Any]]:
    """The logarithm of the probability of all beginnings that are in a state after each frame: T times (N, S).

    *emissions* (T, N, S) are log-probabilities of the states' classes. With *tangents*, a change of them, also the
    change of the result.
    """
    begins = paths.begins()
    reached = [np.where(begins, emissions[0], NEVER)]
    changes = [] if tangents is None else [np.where(begins, tangents[0], 0.0)]
    for t in range(1, len(emissions)):
        moved, shares = _step(reached[-1], paths.skips, 1)
        reached.append(np.maximum(moved + emissions[t], NEVER))
        if tangents is not None:
            changes.append(_step_tangent(changes[-1], shares, 1) + tangents[t])
    return reached, changes


def backward(emissions: Any, paths: Lattice, tangents: Any = None) -> tuple[list[Any], list[Any]]:
    """The logarithm of the probability of all endings that start in a state after each frame, as ``forward``."""
    ends = np.where(paths.ends(), np.zeros_like(emissions[0]), NEVER)
    ahead = [ends]
    changes = [] if tangents is None else [np.zeros_like(emissions[0])]
    for t in reversed(range(len(emissions) - 1)):
        over = (t >= paths.frames - 1)[:, None]
        moved, shares = _step(np.maximum(ahead[-1] + emissions[t + 1], NEVER), paths.skips, -1)
        ahead.append(np.where(over, ends, moved))
        if tangents is not None:
            changes.append(np.where(over, 0.0, _step_tangent(changes[-1] + tangents[t + 1], shares, -1)))
    return ahead[::-1], changes[::-1]


def log_likelihood(reached: Any, paths: Lattice) -> Any:
    """The logarithm of the probability of all paths (N), from the result of ``forward`` (T, N, S)."""
    return _joined([*_final(reached, paths, NEVER), np.full_like(reached[0][:, 0], NEVER)])[0]


def _final(values: Any, paths: Lattice, nothing: float) -> tuple[Any, Any]:
    """*values* (T, N, S) after the last frame in the last state and the one before, or *nothing* if there is none."""
    sample = np.arange(len(paths.frames))
    frame = np.maximum(paths.frames - 1, 0)
    values = np.stack(values)
    before = np.where(paths.last > 0, values[frame, sample, np.maximum(paths.last - 1, 0)], nothing)
    return values[frame, sample, paths.last], before


def posterior(emissions: Any, paths: Lattice, tangents: Any = None) -> Any:
    """The probability (T, N, S) of being in a state at a frame, given the labels; with *tangents* its change with them."""
    emissions = np.maximum(emissions, NEVER)
    reached, reached_change = forward(emissions, paths, tangents)
    ahead, ahead_change = backward(emissions, paths, tangents)
    ways = _final(reached, paths, NEVER)
    total, shares = _joined([*ways, np.full_like(ways[0], NEVER)])
    counts = (np.arange(len(reached))[:, None] < paths.frames)[:, :, None]
    log_weights = np.stack(reached) + np.stack(ahead) - np.expand_dims(total, 1)
    weights = np.where(counts, np.exp(np.minimum(log_weights, 0.0)), 0.0)
    if tangents is None:
        return weights
    last, before = _final(reached_change, paths, 0.0)
    total_change = np.expand_dims(shares[0] * last + shares[1] * before, 1)
    return weights * (np.stack(reached_change) + np.stack(ahead_change) - total_change)
