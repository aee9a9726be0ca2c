"""What dividing memory among ranks saves and costs: run as `mpirun -n 2 python benchmarks/sharded_training.py`.

The model is an MLP of 25 MB, trained by Adam on batches of 64 a rank, one thread each. Memory: what the
optimizer's state takes on rank 0, in MB.
Time: every round times one step of each kind in turn, so that they meet the same disturbances; the table gives the median and
the median of the ratios to DataParallel, round by round.

whole      DataParallel and Adam
state      DataParallel and ShardedOptimizer(Adam): ZeRO-1
gradients  DataParallel(shard_gradients=True) and ShardedOptimizer(Adam): ZeRO-2
parameters DataParallel(shard_parameters=True) and ShardedOptimizer(Adam): ZeRO-3, one copy on this host
gathered   the same where ranks share no memory: each gathers rows of 8 MB when it uses them
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import allgrad as torch
from allgrad import dist, nn
from allgrad.dist.communication.hosts import RANKS_PER_WINDOW
from allgrad.dist.reproducible.sameness import use_one_thread
from allgrad.optim import Optimizer

ROUNDS, BATCH, WIDTH = 12, 64, 1448
OPTIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "state": {},
    "gradients": {"shard_gradients": True},
    "parameters": {"shard_parameters": True},
    "gathered": {"shard_parameters": True, "bucket_cap_mb": 8, "first_bucket_mb": 8},
}


def training(kind: str) -> tuple[Optimizer, Callable[[], None]]:
    """Return the optimizer and a step of training of this kind."""
    os.environ[RANKS_PER_WINDOW] = "1" if kind == "gathered" else ""
    layers = [layer for _ in range(3) for layer in (nn.Linear(WIDTH, WIDTH), nn.ReLU())]
    model = dist.DataParallel(nn.Sequential(*layers), **OPTIONS[kind])
    whole = kind == "whole"
    optimizer: Optimizer = (
        torch.optim.Adam(model.parameters()) if whole else dist.ShardedOptimizer(torch.optim.Adam, model.parameters())
    )
    batch = torch.randn(BATCH, WIDTH)

    def step() -> None:
        optimizer.zero_grad()
        (model(batch) ** 2).mean().backward()
        optimizer.step()

    return optimizer, step


def timed(step: Callable[[], None]) -> float:
    """Seconds that *step* takes, with all ranks beginning together."""
    dist.barrier()
    begin = time.perf_counter()
    step()
    dist.barrier()
    return time.perf_counter() - begin


def main() -> None:
    """Print the table on rank 0."""
    dist.init()
    use_one_thread()
    steps: dict[str, Callable[[], None]] = {}
    kept: dict[str, float] = {}
    for kind in OPTIONS:
        optimizer, steps[kind] = training(kind)
        for _ in range(3):
            steps[kind]()
        kept[kind] = sum(value.numel() * 4 for state in optimizer.state.values() for value in state.values()) / 1e6
    rounds = [{kind: timed(step) for kind, step in steps.items()} for _ in range(ROUNDS)]
    if dist.rank() == 0:
        print(f"{dist.world_size()} ranks\n{'kind':<11} {'state MB':>8} {'ms':>8} {'ratio':>7}")
        for kind in OPTIONS:
            took = statistics.median(found[kind] for found in rounds)
            ratio = statistics.median(found[kind] / found["whole"] for found in rounds)
            print(f"{kind:<11} {kept[kind]:8.0f} {1e3 * took:8.1f} {ratio:7.2f}")


if __name__ == "__main__":
    main()
