"""The state of an optimizer whose parameters are shares: as that of whole parameters, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import allgrad
from allgrad import Tensor
from allgrad.optim import Optimizer
from allgrad.serialization.pieces import Pieces

from .shares import Share

Held = dict[int, tuple[int, int, dict[str, Any]]]
"""What one rank holds: by the number of each parameter, from which element to which, and the state of these."""


def held(optimizer: Optimizer, numbers: Mapping[Share, int]) -> Held:
    """Return the state that *optimizer* keeps for its shares; *numbers* says which parameter each belongs to."""
    return {
        numbers[share]: (share.start, share.stop, dict(state))
        for share, state in optimizer.state.items()
        if state and isinstance(share, Share)
    }


def is_cut(value: Any, start: int, stop: int, size: int) -> bool:
    """Whether *value*, in the state of some elements of a parameter of *size*, belongs to these elements one by one."""
    return isinstance(value, Tensor) and stop - start < size and tuple(value.shape) == (stop - start,)


def joined(everyones: Iterable[Held], shapes: Sequence[tuple[int, ...]]) -> dict[int, dict[str, Any]]:
    """Return the state of whole parameters of *shapes*, made of what every rank holds."""
    whole: dict[int, dict[str, Any]] = {}
    for mine in everyones:
        for number, (start, stop, state) in mine.items():
            shape = shapes[number]
            size = int(np.prod(shape))
            target = whole.setdefault(number, {})
            for name, value in state.items():
                if is_cut(value, start, stop, size):
                    array = value.detach().numpy()
                    place = target.setdefault(name, allgrad.from_numpy(np.zeros(shape, array.dtype)))
                    place.numpy().reshape(-1)[start:stop] = array
                else:
                    target.setdefault(name, value)
    return {number: whole[number] for number in sorted(whole)}


@dataclass(frozen=True)
class Part:
    """What other ranks need to know of a tensor that one rank has, wholly or in part: not its values."""

    dtype: np.dtype[Any]
    size: int
    whole: tuple[int, ...]


def described(mine: Held, shapes: Sequence[tuple[int, ...]]) -> dict[int, dict[str, Any]]:
    """Return *mine* with a `Part` in the place of every tensor that has dimensions."""
    found: dict[int, dict[str, Any]] = {}
    for number, (start, stop, state) in mine.items():
        size = int(np.prod(shapes[number]))
        for name, value in state.items():
            known = value
            if isinstance(value, Tensor) and value.ndim:
                whole = shapes[number] if is_cut(value, start, stop, size) else tuple(value.shape)
                known = Part(value.detach().numpy().dtype, value.numel(), whole)
            found.setdefault(number, {})[name] = known
    return found


def in_pieces(everyones: Sequence[Mapping[int, dict[str, Any]]], mine: Held, rank: int) -> dict[int, dict[str, Any]]:
    """Return the state of whole parameters as `described` by every rank, of which this *rank* has its own values."""
    whole: dict[int, dict[str, Any]] = {}
    for owner, theirs in enumerate(everyones):
        for number, state in theirs.items():
            target = whole.setdefault(number, {})
            for name, value in state.items():
                if not isinstance(value, Part):
                    target.setdefault(name, value)
                    continue
                pieces = target.setdefault(name, Pieces(value.whole))
                values = mine[number][2][name].detach().numpy().reshape(-1) if owner == rank else None
                pieces.add(owner, value.size, value.dtype, values)
    return {number: whole[number] for number in sorted(whole)}


def cut_for(shares: Mapping[int, Share], state: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return of the *state* of whole parameters, by their numbers, what belongs to *shares*."""
    found: dict[int, dict[str, Any]] = {}
    for number, share in shares.items():
        for name, value in state.get(number, {}).items():
            kept = value
            if isinstance(value, Tensor) and value.ndim and not share.is_whole:
                kept = value.detach().reshape(-1)[share.start : share.stop].clone()
            found.setdefault(number, {})[name] = kept
    return found
