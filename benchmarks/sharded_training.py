"""What dividing memory among ranks saves and costs: run as `mpirun -n 2 python benchmarks/sharded_training.py`.

The model is an MLP of 25 MB, trained by Adam on batches of 64 a rank, one thread each. Memory: how much the resident set
of rank 0 has grown (RSS, MB) after three steps since before the wrapper was made; the state of the optimizer is 50 MB whole.
Time: every round times one step of each kind in turn, so that they meet the same disturbances; the table gives the median and
the median of the ratios to DataParallel, round by round.

whole      DataParallel and Adam
state      DataParallel and ShardedOptimizer(Adam): ZeRO-1
gradients  DataParallel(shard_gradients=True) and ShardedOptimizer(Adam): ZeRO-2
"""

from __future__ import annotations

import ctypes
import gc
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import allgrad as torch
from allgrad import dist, nn
from allgrad.dist.reproducible.sameness import use_one_thread

ROUNDS, BATCH, WIDTH = 12, 64, 1448
_M_MMAP_THRESHOLD = -3
KINDS = ("whole", "state", "gradients")


def resident() -> float:
    """The resident set of this process, in MB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def training(kind: str, width: int = WIDTH) -> Callable[[], None]:
    """Return a step of training of this kind."""
    layers = [layer for _ in range(3) for layer in (nn.Linear(width, width), nn.ReLU())]
    model = dist.DataParallel(nn.Sequential(*layers), shard_gradients=kind == "gradients")
    whole = kind == "whole"
    optimizer = (
        torch.optim.Adam(model.parameters()) if whole else dist.ShardedOptimizer(torch.optim.Adam, model.parameters())
    )
    batch = torch.randn(BATCH, width)

    def step() -> None:
        optimizer.zero_grad()
        (model(batch) ** 2).mean().backward()
        optimizer.step()

    return step


def timed(step: Callable[[], None]) -> float:
    """Seconds that *step* takes, with all ranks beginning together."""
    dist.barrier()
    begin = time.perf_counter()
    step()
    dist.barrier()
    return time.perf_counter() - begin


def main() -> None:
    """Print the table on rank 0."""
    # Else the allocator keeps what the kind before has freed, and the next one does not show.
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 1 << 20)
    dist.init()
    use_one_thread()
    for kind in KINDS:
        training(kind, width=64)()  # what is loaded and kept by the first step of all
    steps: dict[str, Callable[[], None]] = {}
    grown: dict[str, float] = {}
    for kind in KINDS:
        before = resident()
        steps[kind] = training(kind)
        for _ in range(3):
            steps[kind]()
        grown[kind] = resident() - before
    rounds = [{kind: timed(step) for kind, step in steps.items()} for _ in range(ROUNDS)]
    if dist.rank() == 0:
        print(f"{dist.world_size()} ranks\n{'kind':<10} {'RSS +MB':>8} {'ms':>8} {'ratio':>7}")
        for kind in KINDS:
            took = statistics.median(found[kind] for found in rounds)
            ratio = statistics.median(found[kind] / found["whole"] for found in rounds)
            print(f"{kind:<10} {grown[kind]:8.0f} {1e3 * took:8.1f} {ratio:7.2f}")


if __name__ == "__main__":
    main()
