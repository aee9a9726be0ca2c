"""What a checkpoint keeps of compression: what each host has not sent yet, and what all have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from allgrad.serialization.pieces import Pieces

from ..communication.objects import gather_objects
from ..training.buckets import Slot
from .compressed_sum import CompressedSum
from .method import Array


def kept(own: CompressedSum | None, members: Sequence[Sequence[Slot]], rank: int) -> list[dict[str, Any]] | None:
    """Return what is kept of every row, each rank's part as a piece; all ranks call this. None where nothing is sent.

    *own* is the sum on a rank that exchanges, None on others; *rank* is this rank's number in the world.
    """
    said = gather_objects(None if own is None else _described(own))
    layouts = {number: layout for number, layout in enumerate(said) if layout is not None}
    if not layouts:
        return None
    owners, layout = list(layouts), next(iter(layouts.values()))
    return [_row(own, k, slots, layout[k], owners, rank) for k, slots in enumerate(members)]


def take_back(own: CompressedSum, members: Sequence[Sequence[Slot]], saved: Sequence[dict[str, Any]]) -> None:
    """Let *own* go on where *saved* was.

    On as many hosts with buckets of the same parameters this rank gets its own back. Otherwise it gets an equal part
    of what all together had not sent.
    """
    same = [_layout(slots) for slots in members] == [{"names": r["names"], "sizes": r["sizes"]} for r in saved]
    totals = _totals(saved)
    shared = {name: value for row in saved for name, value in row["shared"].items()}
    for k, (slots, exchange) in enumerate(zip(members, own.exchanges, strict=True)):
        if exchange is None:
            continue
        if exchange.residual is not None:
            everyones = saved[k]["residual"].numpy() if same and saved[k]["residual"] is not None else None
            if everyones is not None and len(everyones) == own.size:
                exchange.residual[...] = everyones[own.rank]
            else:
                parts = [totals.get(slot.name, np.zeros(slot.size)) for slot in slots]
                exchange.residual[...] = np.concatenate(parts) / own.size
        for name, value in exchange.shared.items():
            if name in shared and tuple(shared[name].shape) == value.shape:
                value[...] = shared[name].numpy()


def _described(own: CompressedSum) -> list[tuple[np.dtype[Any] | None, dict[str, Any]]]:
    described = []
    for exchange in own.exchanges:
        residual = exchange.residual if exchange is not None else None
        shared = exchange.shared if exchange is not None else {}
        described.append(
            (
                None if residual is None else residual.dtype,
                {name: (value.shape, value.dtype) for name, value in shared.items()},
            )
        )
    return described


def _row(
    own: CompressedSum | None,
    k: int,
    slots: Sequence[Slot],
    described: tuple[np.dtype[Any] | None, dict[str, Any]],
    owners: Sequence[int],
    rank: int,
) -> dict[str, Any]:
    exchange = own.exchanges[k] if own is not None else None
    dtype, shared = described
    residual = None
    if dtype is not None:
        size = sum(slot.size for slot in slots)
        residual = Pieces((len(owners), size))
        for owner in owners:
            residual.add(owner, size, dtype, exchange.residual if exchange is not None and owner == rank else None)
    return {
        **_layout(slots),
        "residual": residual,
        "shared": {
            name: _common(
                shape, of, exchange.shared[name] if exchange is not None and owners[0] == rank else None, owners
            )
            for name, (shape, of) in shared.items()
        },
    }


def _common(shape: tuple[int, ...], dtype: np.dtype[Any], values: Array | None, owners: Sequence[int]) -> Pieces:
    """Return what is the same on all *owners*, of which the first one writes it."""
    pieces = Pieces(shape)
    pieces.add(owners[0], int(np.prod(shape)), dtype, None if values is None else values.reshape(-1))
    return pieces


def _layout(slots: Sequence[Slot]) -> dict[str, Any]:
    return {"names": [slot.name for slot in slots], "sizes": [slot.size for slot in slots]}


def _totals(saved: Sequence[dict[str, Any]]) -> dict[str, Array]:
    """Return by parameter what all hosts together had not sent."""
    totals: dict[str, Array] = {}
    for row in saved:
        if row["residual"] is None:
            continue
        ends = np.cumsum([0, *row["sizes"]])
        total = row["residual"].numpy().sum(axis=0)
        for name, begin, end in zip(row["names"], ends[:-1], ends[1:], strict=True):
            totals[name] = total[begin:end]
    return totals
