"""What `DataParallel` adds to a training step, beside the bare model on the same ranks and the same batch.

    python benchmarks/wrapper_overhead.py [--steps 200]
    mpirun -n 2 python benchmarks/wrapper_overhead.py [--steps 200]

A step is zero_grad, forward, loss, backward and SGD. Steps of both kinds alternate; with several ranks each begins at a
barrier and lasts until the slowest rank is through. For every model the table shows the median bare step, and the medians of
the differences (µs) and of the ratios between a wrapped step and the bare one before it, which a busy machine disturbs least:

tiny  8 → 16 → 4, in a batch of 16: 212 parameters
deep  20 layers of 32 → 32, in a batch of 16: 40 small parameters
MLP   784 → 512 → 512 → 10, in a batch of 64: 2.7 MB of gradients
CNN   two convolutions and two linear layers on 28 × 28 images, in a batch of 32: 1.7 MB

One thread a rank.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_variable] = "1"  # read when NumPy loads, which is later

import allgrad as torch  # noqa: E402
from allgrad import dist, nn  # noqa: E402
from allgrad.dist.world import current, mpi  # noqa: E402

WARM_UP = 10


def models() -> dict[str, tuple[nn.Module, torch.Tensor, int]]:
    """Each model, its batch, and the number of its classes."""
    deep: list[nn.Module] = []
    for _ in range(20):
        deep += [nn.Linear(32, 32), nn.ReLU()]
    return {
        "tiny": (nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), torch.randn(16, 8), 4),
        "deep": (nn.Sequential(*deep), torch.randn(16, 32), 32),
        "MLP": (
            nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)),
            torch.randn(64, 784),
            10,
        ),
        "CNN": (
            nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                nn.Flatten(), nn.Linear(32 * 49, 256), nn.ReLU(), nn.Linear(256, 10),
            ),
            torch.randn(32, 1, 28, 28),
            10,
        ),
    }  # fmt: skip


def step_of(model: nn.Module, batch: torch.Tensor, classes: int) -> Callable[[], None]:
    """One step of training *model*."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    target = torch.arange(len(batch)) % classes

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch), target).backward()
        optimizer.step()

    return step


def timed(step: Callable[[], None]) -> float:
    """Seconds that *step* takes on the slowest rank."""
    comm = current().comm
    if comm is not None:
        comm.Barrier()
    begin = time.perf_counter()
    step()
    took = time.perf_counter() - begin
    return took if comm is None else float(comm.allreduce(took, mpi().MAX))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    dist.init()
    torch.manual_seed(0)
    if dist.rank() == 0:
        print(f"{dist.world_size()} ranks     bare step   DataParallel adds")
    for name, (model, batch, classes) in models().items():
        bare = step_of(copy.deepcopy(model), batch, classes)
        wrapped = step_of(dist.DataParallel(model), batch, classes)
        pairs = [(timed(bare), timed(wrapped)) for _ in range(WARM_UP + options.steps)][WARM_UP:]
        usual = statistics.median(alone for alone, _ in pairs)
        added = statistics.median(together - alone for alone, together in pairs)
        ratio = statistics.median(together / alone for alone, together in pairs)
        if dist.rank() == 0:
            print(
                f"{name:10} {1e6 * usual:9.0f} µs {1e6 * added:10.1f} µs   {100 * (ratio - 1):6.2f} %   "
                f"(least: {1e6 * min(alone for alone, _ in pairs):.0f} µs, "
                f"{1e6 * min(together for _, together in pairs):.0f} µs)"
            )


if __name__ == "__main__":
    main()
