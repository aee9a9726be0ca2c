"""What a checkpoint takes from the objects of a run, and how it is put back into them."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np

import allgrad
from allgrad import Tensor, nn
from allgrad.random import default_generator
from allgrad.serialization.pieces import Pieces

from ..reproducible.sameness import surroundings
from ..training.data_parallel import DataParallel


def compression_of(value: Any, rank: int) -> list[dict[str, Any]] | None:
    """Return what the compression of a `DataParallel` has not sent yet, None for all else; all ranks call this."""
    compressor = value.compressor if isinstance(value, DataParallel) else None
    return None if compressor is None else compressor.state(rank)


def state_of(value: Any) -> tuple[Any, dict[str, Any] | None]:
    """Return what is saved of *value*, and beside it what a `DataParallel` needs to go on to the same bits."""
    if isinstance(value, DataParallel):
        return _state_of_module(value), _reproducible(value)
    if hasattr(value, "sharded_state_dict"):
        return value.sharded_state_dict(), None
    return (value.state_dict() if hasattr(value, "state_dict") else value), None


def restorable(name: str, target: Any, saved: Any) -> list[str]:
    """Return why *saved* cannot be put back into *target*, which is called *name*."""
    module = target.module if isinstance(target, DataParallel) else target
    if not isinstance(module, nn.Module):
        return (
            [] if hasattr(target, "load_state_dict") else [f"{name} ({type(target).__name__}) has no load_state_dict"]
        )
    own = _state_of_module(target) if isinstance(target, DataParallel) else module.state_dict()
    missing = [f"{name}.{key} is not in it" for key in own if key not in saved]
    unexpected = [f"{name}.{key} is only in it" for key in saved if key not in own]
    differing = [
        f"{name}.{key} has shape {tuple(saved[key].shape)} in it and {tuple(tensor.shape)} here"
        for key, tensor in own.items()
        if key in saved and isinstance(tensor, Tensor | Pieces) and tuple(saved[key].shape) != tuple(tensor.shape)
    ]
    return differing + missing + unexpected


def put_back(
    target: Any, saved: Any, reproducible: dict[str, Any] | None, compression: list[dict[str, Any]] | None
) -> None:
    """Load *saved* into *target*."""
    if not isinstance(target, DataParallel):
        target.load_state_dict(saved)
        return
    with target.gathered():
        target.module.load_state_dict(saved)
    if target.compressor is not None and compression is not None:
        target.compressor.load(compression)
    if target.virtual_shards is None:
        return
    if reproducible is None:
        warnings.warn(
            "this checkpoint was made in the fast mode: training goes on reproducibly from here on", stacklevel=3
        )
        return
    target.seed, target.steps = reproducible["seed"], reproducible["steps"]
    now = _reproducible(target)
    assert now is not None
    differing = [
        f"{name} was {reproducible[name]} and is {found}"
        for name, found in now.items()
        if reproducible.get(name) != found
    ]
    if differing:
        warnings.warn(
            f"training goes on, but not to the bits that the run before would have come to: {'; '.join(differing)}",
            stacklevel=3,
        )


def random_state() -> dict[str, Any]:
    """Return where this rank's random numbers are: allgrad's, NumPy's and Python's."""
    version, words, gauss = random.getstate()
    return {
        "allgrad": allgrad.get_rng_state(),
        "numpy": np.random.get_state(legacy=False),
        "python": {"version": version, "words": np.array(words, np.uint32), "gauss": gauss},
    }


def put_back_random(saved: list[dict[str, Any]], rank: int, *, reproducible: bool) -> None:
    """Continue this rank's random numbers.

    In the reproducible mode all ranks continue rank 0's. In the fast mode each continues its own, and one that the
    saved run did not have begins far behind rank 0's.
    """
    state = saved[rank if rank < len(saved) and not reproducible else 0]
    allgrad.set_rng_state(state["allgrad"])
    if rank >= len(saved) and not reproducible:
        philox: Any = default_generator.numpy.bit_generator
        philox.advance(rank << 128)
    np.random.set_state(state["numpy"])
    python = state["python"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))


def _state_of_module(parallel: DataParallel) -> dict[str, Any]:
    return parallel.module.state_dict() if parallel.divided is None else parallel.divided.state_dict()


def _reproducible(parallel: DataParallel) -> dict[str, Any] | None:
    if parallel.virtual_shards is None:
        return None
    steps = {"virtual_shards": parallel.virtual_shards, "seed": parallel.seed, "steps": parallel.steps}
    return steps | surroundings()
