"""Sizes of buckets as they are by default and as autotune chooses them: seconds of a step, in one run.

    mpirun -n 2 --host a,b python benchmarks/autotune.py [--rounds 15] [--width 1024] [--layers 6]

Two models alike, of --layers square layers of --width (25 MB of gradients with 6 of 1,024), 16 samples a rank: one with the
default sizes of buckets, one with autotune=True, which is first trained until it has chosen. Then each round makes a step with each
in turn. The last line gives the median of the rounds' ratios, chosen to default, of the slowest rank's time of a forward and
backward pass: it should never be above 1.02. --repeat does all of it anew. One thread a rank.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"  # read when NumPy loads, which is later

import numpy as np  # noqa: E402

import allgrad as torch  # noqa: E402
from allgrad import dist, nn  # noqa: E402


def timed(model: Any, x: Any) -> float:
    """Seconds of a forward and backward pass on the slowest rank."""
    dist.barrier()
    begin = time.perf_counter()
    model.zero_grad()
    model(x).pow(2).mean().backward()
    return float(max(dist.gather_objects(time.perf_counter() - begin)))


def measure(width: int, layers: int, rounds: int) -> None:
    """Tune, compare, and print."""
    x = torch.from_numpy(np.random.default_rng(dist.rank()).normal(size=(16, width)).astype("float32"))
    models = [
        dist.DataParallel(
            nn.Sequential(*[layer for _ in range(layers) for layer in (nn.Linear(width, width), nn.ReLU())]),
            autotune=tune,
        )
        for tune in (False, True)
    ]
    while not models[1].settings.tuned:
        timed(models[1], x)
    timed(models[0], x)
    times = [[timed(model, x) for model in models] for _ in range(rounds)]
    if dist.rank() == 0:
        default, tuned = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(chosen / usual for usual, chosen in times)
        print(f"default {default:.1f} ms, chosen {tuned:.1f} ms, ratio {ratio:.3f}: {models[1].settings}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    dist.init()
    if dist.world_size() == 1:
        sys.exit("start it with mpirun -n 2, or more")
    for _ in range(options.repeat):
        measure(options.width, options.layers, options.rounds)
    dist.barrier()


if __name__ == "__main__":
    main()
