"""What compression saves between hosts, and what it costs: seconds and bytes of a step, and the loss after training.

    mpirun -n 2 --host a,b python benchmarks/compression.py [--rounds 9] [--width 1024]

Step: an MLP of four square layers of --width (17 MB of gradients at 1,024), 16 samples a rank. Each round makes one step with each
way in turn; the table gives the median over the rounds of the slowest rank's time and of the rounds' ratios to no compression,
and the bytes that the network of rank 0's host sent in a step (all but lo).

Loss: a classifier of the handwritten digits that come with allgrad (64, 128, 128, 10), batches of 16 a rank, SGD with
momentum, the same start and samples for each way: cross entropy in the last of --epochs, and cross entropy and accuracy
on the test set.

On one host give ALLGRAD_RANKS_PER_WINDOW=1, which takes every rank for a host. One thread a rank.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"  # read when NumPy loads, which is later

import numpy as np  # noqa: E402

import allgrad as torch  # noqa: E402
from allgrad import datasets, dist, nn  # noqa: E402
from allgrad.utils.data import DataLoader  # noqa: E402

WAYS: dict[str, Any] = {
    "none": lambda: None,
    "FP16": dist.FP16,
    "BF16": dist.BF16,
    "Int8": dist.Int8,
    "TopK(0.01)": lambda: dist.TopK(0.01),
    "PowerSGD(4)": lambda: dist.PowerSGD(4),
}
WARM_UP = 2


def sent() -> int:
    """Bytes that this host's network has sent."""
    lines = [line.split(":") for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    return sum(int(counts.split()[8]) for name, counts in lines if name.strip() != "lo")


def steps(width: int, rounds: int) -> None:
    """Print how long a step takes with each way, and how much it sends."""
    x = torch.from_numpy(np.random.default_rng(dist.rank()).normal(size=(16, width)).astype("float32"))
    models = {}
    for way, make in WAYS.items():
        torch.manual_seed(0)
        layers = [layer for _ in range(4) for layer in (nn.Linear(width, width), nn.ReLU())]
        models[way] = dist.DataParallel(nn.Sequential(*layers), compression=make())
    took: dict[str, list[float]] = {way: [] for way in models}
    wire: dict[str, list[float]] = {way: [] for way in models}
    for number in range(WARM_UP + rounds):
        for way, model in models.items():
            dist.barrier()
            begin, before = time.perf_counter(), sent()
            model.zero_grad()
            model(x).pow(2).mean().backward()
            seconds = max(dist.gather_objects(time.perf_counter() - begin))
            if number >= WARM_UP:
                took[way].append(seconds)
                wire[way].append(float(sent() - before))
    if dist.rank() == 0:
        for way, times in took.items():
            ratio = statistics.median(a / b for a, b in zip(times, took["none"], strict=True))
            megabytes = statistics.median(wire[way]) / 1e6
            print(
                f"{way:12} {1e3 * statistics.median(times):8.1f} ms  {ratio:5.2f} x  {megabytes:8.3f} MB sent",
                flush=True,
            )


def losses(epochs: int) -> None:
    """Print where training comes to with each way."""
    train, test = datasets.digits(train=True), datasets.digits(train=False)
    test_x, test_y = test.tensors
    for way, make in WAYS.items():
        torch.manual_seed(1)
        net = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
        )
        model = dist.DataParallel(net, compression=make())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        sampler = dist.DistributedSampler(train, seed=3)
        for epoch in range(epochs):
            sampler.set_epoch(epoch)
            total = 0.0
            for x, y in DataLoader(train, batch_size=16, sampler=sampler):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(x)
        mean = dist.mean(total / len(sampler))
        with torch.no_grad():
            output = net(test_x)
            found = nn.functional.cross_entropy(output, test_y).item()
            accuracy = (output.argmax(1) == test_y).float().mean().item()
        if dist.rank() == 0:
            print(f"{way:12} training loss {mean:.4f}, test loss {found:.4f}, accuracy {accuracy:.4f}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    dist.init()
    if dist.world_size() == 1:
        sys.exit("start it with mpirun -n 2, or more")
    steps(options.width, options.rounds)
    losses(options.epochs)
    dist.barrier()


if __name__ == "__main__":
    main()
