"""How long 25 MB of gradients take to become their mean over the ranks of this host, four ways in one run, and the least possible.

    mpirun -n 2 python benchmarks/gradient_exchange.py [--rounds 15] [--torch PYTHON]

Each round times each way once, in turn, from a barrier until the slowest rank has all means; the table gives the median
over the rounds and the median of the rounds' ratios to `DataParallel`, which a busy machine disturbs least:

DataParallel  all gradients lie where a backward pass under no_sync() has left them; timed is a backward pass through one
              further parameter, which reduces them all: announcement, sum and ``.grad`` included
out of place  MPI Allreduce from one array into another, then times 1/n
in pieces     MPI Allreduce in place, in pieces of 1/4, 1, 4 and 16 MiB, each then times 1/n; the size that is best by median
gloo          torch.distributed's all_reduce on one tensor, then times 1/n; in processes of its own, started by rank 0 after
              the rounds, where --torch names a Python that has PyTorch: its ratio is one of medians

memory        what the host's memory takes for the traffic of any sum out of place: every rank at once adds n arrays of its own,
              each as large as its n-th part of the gradients, into one more
in one pass   the same, times 1/n and looked at for NaN, by the code that DataParallel uses

One thread a rank. Every way ends with the same mean, which is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read when NumPy and PyTorch load, which is later

import numpy as np  # noqa: E402

import allgrad as torch  # noqa: E402
from allgrad import dist, nn  # noqa: E402
from allgrad.dist.world import current, mpi  # noqa: E402
from allgrad.kernels.sums import scaled_sum  # noqa: E402

TENSORS, ELEMENTS = 25, 250_000  # 25 MB of float32
PIECES = [1 << 16, 1 << 18, 1 << 20, 1 << 22]  # elements
BLOCK = 1 << 15  # elements, as many as stay in the cache
WARM_UP = 3

GLOO = """
import json, sys, time, torch, torch.distributed as dist
rank, size, rounds, elements, file = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method="file://" + file, rank=rank, world_size=size)
took = []
for _ in range(rounds):
    x = torch.full((elements,), rank + 1.0)
    dist.barrier()
    begin = time.perf_counter()
    dist.all_reduce(x)
    x *= 1 / size
    took.append(time.perf_counter() - begin)
    assert abs(float(x[-1]) - (size + 1) / 2) < 1e-5
every = torch.tensor(took)
dist.all_reduce(every, dist.ReduceOp.MAX)
if rank == 0:
    print(json.dumps(every.tolist()))
"""


class Leaves(nn.Module):
    """25 MB of parameters, and one more."""

    def __init__(self) -> None:
        super().__init__()
        self.large = nn.ParameterList([nn.Parameter(torch.zeros(ELEMENTS)) for _ in range(TENSORS)])
        self.last = nn.Parameter(torch.zeros(1))

    def forward(self, last: bool) -> torch.Tensor:
        """What depends on the one, or on all others."""
        parts = [self.last] if last else self.large
        total: torch.Tensor = torch.stack([part.sum() for part in parts]).sum()
        return total


def data_parallel(bucket_mb: float) -> tuple[Callable[[], None], Callable[[], None]]:
    """What is to be done before a round, and in it."""
    model = dist.DataParallel(Leaves(), bucket_cap_mb=bucket_mb)

    loss: list[torch.Tensor] = []

    def prepare() -> None:
        model.zero_grad()
        with model.no_sync():
            (model(last=False) * (dist.rank() + 1.0)).backward()
        loss[:] = [model(last=True)]

    def reduce() -> None:
        loss[0].backward()
        assert model.module.large[0].grad[-1].item() == (dist.world_size() + 1) / 2

    return prepare, reduce


def out_of_place() -> tuple[Callable[[], None], Callable[[], None]]:
    """An Allreduce of separate buffers."""
    own, found = np.empty(TENSORS * ELEMENTS, np.float32), np.zeros(TENSORS * ELEMENTS, np.float32)

    def reduce() -> None:
        comm().Allreduce(own, found)
        np.multiply(found, np.float32(1 / dist.world_size()), out=found)

    return lambda: own.fill(dist.rank() + 1), reduce


def in_pieces(elements: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Allreduces in place of *elements* each."""
    own = np.empty(TENSORS * ELEMENTS, np.float32)

    def reduce() -> None:
        for start in range(0, own.size, elements):
            piece = own[start : start + elements]
            comm().Allreduce(mpi().IN_PLACE, piece)
            np.multiply(piece, np.float32(1 / dist.world_size()), out=piece)

    return lambda: own.fill(dist.rank() + 1), reduce


def in_memory(once: bool) -> tuple[Callable[[], None], Callable[[], None]]:
    """The sum of this rank's part, over arrays of its own: in NumPy's pieces, or in the *once* of DataParallel's code."""
    elements = TENSORS * ELEMENTS // dist.world_size()
    rows = [np.ones(elements, np.float32) for _ in range(dist.world_size())]
    total = np.zeros(elements, np.float32)

    def reduce() -> None:
        if once:
            assert scaled_sum(rows, 1 / len(rows), total)
            return
        for start in range(0, elements, BLOCK):
            piece = slice(start, start + BLOCK)
            np.add(rows[0][piece], rows[1][piece], out=total[piece])
            for row in rows[2:]:
                np.add(total[piece], row[piece], out=total[piece])

    return lambda: None, reduce


def comm() -> Any:
    """The world's communicator."""
    return current().comm


def timed(prepare: Callable[[], None], reduce: Callable[[], None]) -> float:
    """Seconds that *reduce* takes on the slowest rank."""
    prepare()
    comm().Barrier()
    begin = time.perf_counter()
    reduce()
    return float(comm().allreduce(time.perf_counter() - begin, mpi().MAX))


def gloo(python: str, ranks: int, rounds: int) -> list[float]:
    """Seconds of each round of PyTorch's gloo on as many ranks."""
    with tempfile.TemporaryDirectory() as folder:
        words = [python, "-c", GLOO]
        shared = [str(ranks), str(rounds), str(TENSORS * ELEMENTS), str(Path(folder) / "meet")]
        others = [subprocess.Popen([*words, str(rank), *shared]) for rank in range(1, ranks)]
        first = subprocess.run([*words, "0", *shared], capture_output=True, text=True, check=True)
        for process in others:
            process.wait()
    return [float(seconds) for seconds in json.loads(first.stdout.splitlines()[-1])]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--bucket-mb", type=float, default=25)
    parser.add_argument("--torch", metavar="PYTHON", help="a Python that has PyTorch, to measure gloo")
    options = parser.parse_args()
    dist.init()
    if dist.world_size() == 1:
        sys.exit("start it with mpirun -n 2, or more")
    ways = {"DataParallel": data_parallel(options.bucket_mb), "out of place": out_of_place()}
    ways |= {f"in pieces of {elements >> 18 or 1 / 4} MiB": in_pieces(elements) for elements in PIECES}
    ways |= {"memory": in_memory(once=False), "in one pass": in_memory(once=True)}
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(WARM_UP + options.rounds):
        for way, (prepare, reduce) in ways.items():
            took = timed(prepare, reduce)
            if number >= WARM_UP:
                times[way].append(took)
    tell(times, options.torch, options.rounds)
    dist.barrier()


def tell(times: dict[str, list[float]], python: str | None, rounds: int) -> None:
    """Print the table, on rank 0."""
    if dist.rank() != 0:
        return
    own = times["DataParallel"]
    for way, found in times.items():
        ratio = statistics.median(a / b for a, b in zip(found, own, strict=True))
        print(f"{way:22} {1e3 * statistics.median(found):8.2f} ms   least {1e3 * min(found):8.2f}   {ratio:6.2f} x")
    if python:
        found = gloo(python, dist.world_size(), rounds)
        ratio = statistics.median(found) / statistics.median(own)
        print(f"{'gloo':22} {1e3 * statistics.median(found):8.2f} ms   least {1e3 * min(found):8.2f}   {ratio:6.2f} x")


if __name__ == "__main__":
    main()
