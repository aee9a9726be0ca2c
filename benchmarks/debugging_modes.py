"""What looking for the first NaN costs: training steps as they are, under ``check_finite``, and under ``detect_anomaly``.

Run it pinned to a core: ``taskset -c 1 python benchmarks/debugging_modes.py``. Each figure is the least of several rounds, the
modes in turn.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import allgrad as torch
from allgrad import Tensor, nn

ROUNDS = 25
MODES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "as it is": nullcontext,
    "check_finite": torch.check_finite,
    "detect_anomaly": torch.autograd.detect_anomaly,
}


def networks() -> dict[str, tuple[nn.Module, Tensor]]:
    """The networks and their batches: a multilayer perceptron and a convolutional network."""
    mlp = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    cnn = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(9216, 10),
    )
    return {
        "MLP 784-256-256-10, batch 64": (mlp, torch.randn(64, 784)),
        "CNN 1→32→64, batch 16": (cnn, torch.randn(16, 1, 28, 28)),
    }


def step(network: nn.Module, batch: Tensor) -> float:
    """How many seconds one step of training takes."""
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    target = torch.zeros(len(batch), dtype=torch.int64)
    start = time.perf_counter()
    optimizer.zero_grad()
    nn.functional.cross_entropy(network(batch), target).backward()
    optimizer.step()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print milliseconds per step, and the ratio to the plain one."""
    warnings.simplefilter("ignore")
    for name, (network, batch) in networks().items():
        best = dict.fromkeys(MODES, float("inf"))
        for _ in range(ROUNDS):
            for mode, context in MODES.items():
                with context():
                    best[mode] = min(best[mode], step(network, batch))
        shown = "   ".join(f"{mode} {t * 1e3:.2f} ms (×{t / best['as it is']:.2f})" for mode, t in best.items())
        print(f"{name}: {shown}")


if __name__ == "__main__":
    main()
