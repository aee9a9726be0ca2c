"""What training on several ranks of one host reaches of the same ranks' speed without each other, and of PyTorch's speed.

    mpirun -n 2 --bind-to none python benchmarks/weak_scaling.py [--rounds 9] [--torch PYTHON] [--save FILE] [MODEL ...]

Every rank has a core of its own, as long as there are cores, and one thread. Each round times each way once, in turn, for as
many steps as take about --seconds; a step is zero_grad, forward, loss, backward and the optimizer's step, on the rank's own
batch of always the same size. Ways:

alone         the ranks train a model each and do not speak to each other: the sum of their samples per second
in step       the same, but after each step they wait for each other (MPI's barrier): what any way of training together
              pays for a machine on which no two steps take the same time, before a gradient is sent
DataParallel  one model, gradients averaged, all settings as they are by default: samples of all ranks per second of the
              slowest
DDP           the same program in PyTorch's DistributedDataParallel over gloo, in processes of its own that are pinned to the
              same cores and sleep meanwhile; by --torch, a Python that has PyTorch (default: this one, if it has)

The table gives medians over the rounds: samples per second, and the rounds' ratios DataParallel / alone, which is the
efficiency of weak scaling, DataParallel / in step, and DataParallel / DDP. --save adds the efficiencies to a file,
which scaling_model.py --plot draws from.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read when NumPy and PyTorch load, which is later

import numpy as np  # noqa: E402

Step = Callable[[], None]
Wrap = Callable[[Any], Any]
WARM_UP = 3  # steps
SECONDS_BETWEEN_LOOKS = 5e-4


@dataclass(frozen=True)
class Model:
    """A model of *library*, made by *make*, and its batch: inputs of *shape*, and classes below *classes* or numbers."""

    make: Callable[[Any], Any]
    shape: tuple[int, ...]
    classes: int | None = None

    def step(self, library: Any, wrap: Wrap, rank: int) -> Step:
        """A step of training by SGD, with the model as *wrap* returns it."""
        random = np.random.default_rng(rank)
        library.manual_seed(0)
        model = wrap(self.make(library.nn))
        inputs = library.from_numpy(random.standard_normal(self.shape).astype(np.float32))
        functional = library.nn.functional
        if self.classes is None:
            target = library.from_numpy(random.standard_normal((self.shape[0], 1)).astype(np.float32))
            loss_of = functional.mse_loss
        else:
            target = library.from_numpy(random.integers(0, self.classes, self.shape[0]))
            loss_of = functional.cross_entropy
        optimizer = library.optim.SGD(model.parameters(), lr=1e-3)

        def step() -> None:
            optimizer.zero_grad()
            loss_of(model(inputs), target).backward()
            optimizer.step()

        return step


def tiny(nn: Any) -> Any:
    """2-16-1."""
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))


def mlp(nn: Any) -> Any:
    """784-256-256-10: 1.1 MB of gradients."""
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))


def cnn(nn: Any) -> Any:
    """Two convolutions of 3x3, 1 to 32 to 64 channels, a pool, and layers of 128 and 10: 4.8 MB of gradients."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def transformer(nn: Any) -> Any:
    """Two encoder layers of width 128 with 4 heads, over 32 places: 1.6 MB of gradients."""
    layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(32 * 128, 10))


MODELS = {
    "tiny": Model(tiny, (32, 2)),
    "MLP": Model(mlp, (64, 784), classes=10),
    "transformer": Model(transformer, (16, 32, 128), classes=10),
    "CNN": Model(cnn, (32, 1, 28, 28), classes=10),
}


def timed(step: Step, count: int) -> float:
    """Seconds of *count* steps."""
    begin = time.perf_counter()
    for _ in range(count):
        step()
    return time.perf_counter() - begin


def take_core(number: int, cores: list[int]) -> None:
    """Stay on one of *cores*."""
    os.sched_setaffinity(0, {cores[number % len(cores)]})


def serve_pytorch(rank: int, ranks: int, meeting: str, cores: list[int]) -> None:
    """Be a rank of PyTorch: for every line "MODEL STEPS" of the input answer with the seconds that they took."""
    take_core(rank, cores)
    torch = import_module("torch")
    torch.set_num_threads(1)
    group = import_module("torch.distributed")
    group.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks)
    wrap = import_module("torch.nn.parallel").DistributedDataParallel
    steps: dict[str, Step] = {}
    for line in sys.stdin:
        name, count = line.split()
        if name not in steps:
            steps[name] = MODELS[name].step(torch, wrap, rank)
            timed(steps[name], WARM_UP)
        group.barrier()
        print(timed(steps[name], int(count)), flush=True)
    group.destroy_process_group()


class PyTorch:
    """Ranks of PyTorch that wait for work."""

    def __init__(self, python: str, ranks: int, folder: str, cores: list[int]) -> None:
        words = [python, __file__, "--serve", json.dumps([ranks, str(Path(folder) / "meeting"), cores])]
        self.ranks = [
            subprocess.Popen([*words, str(rank)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for rank in range(ranks)
        ]

    def timed(self, name: str, count: int) -> float:
        """Seconds of *count* steps on the slowest rank."""
        for rank in self.ranks:
            assert rank.stdin is not None
            rank.stdin.write(f"{name} {count}\n")
            rank.stdin.flush()
        return max(float(rank.stdout.readline()) for rank in self.ranks if rank.stdout is not None)

    def end(self) -> None:
        """Let them end."""
        for rank in self.ranks:
            assert rank.stdin is not None
            rank.stdin.close()
            rank.wait()


@contextmanager
def pytorch(python: str | None, first: bool, ranks: int, cores: list[int]) -> Iterator[PyTorch | None]:
    """PyTorch's ranks, on the first of ours, if there is a *python* that has it."""
    if not (python and first):
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        made = PyTorch(python, ranks, folder, cores)
        try:
            yield made
        finally:
            made.end()


def meet(comm: Any) -> None:
    """Wait for all ranks without taking a core from whoever works."""
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(SECONDS_BETWEEN_LOOKS)


def measure(name: str, rounds: int, seconds: float, rival: PyTorch | None) -> list[dict[str, float]]:
    """Samples per second of each way in each round."""
    torch, dist = import_module("allgrad"), import_module("allgrad.dist")
    comm = import_module("allgrad.dist.world").current().comm
    model, ranks = MODELS[name], dist.world_size()
    ways = {"alone": model.step(torch, lambda made: made, dist.rank())}
    ways["in step"] = _then(model.step(torch, lambda made: made, dist.rank()), comm.Barrier)
    ways["DataParallel"] = model.step(torch, dist.DataParallel, dist.rank())
    for step in ways.values():
        timed(step, WARM_UP)
    count = max(1, round(seconds / comm.allreduce(timed(ways["alone"], 5) / 5) * ranks))
    found = []
    for _ in range(rounds):
        took = {}
        for way, step in ways.items():
            meet(comm)
            took[way] = comm.allgather(timed(step, count))
        samples = count * model.shape[0]
        rates = {"alone": sum(samples / each for each in took["alone"])}
        rates |= {way: ranks * samples / max(took[way]) for way in ("in step", "DataParallel")}
        if rival is not None:
            rates["DDP"] = ranks * samples / rival.timed(name, count)
        meet(comm)
        found.append(rates)
    return found


def _then(step: Step, wait: Step) -> Step:
    def both() -> None:
        step()
        wait()

    return both


def tell(name: str, found: list[dict[str, float]]) -> None:
    """Print a line of the table."""
    words = [f"{name:12}"]
    words += [f"{way} {statistics.median(rates[way] for rates in found):9.0f}/s" for way in found[0]]
    for way in [way for way in found[0] if way != "DataParallel"]:
        words.append(f"/ {way} {statistics.median(rates['DataParallel'] / rates[way] for rates in found):5.3f}")
    print("   ".join(words), flush=True)


def save(file: Path, ranks: int, name: str, found: list[dict[str, float]]) -> None:
    """Keep the efficiency of model *name* on *ranks* ranks."""
    kept = json.loads(file.read_text()) if file.exists() else {}
    ratio = statistics.median(rates["DataParallel"] / rates["alone"] for rates in found)
    kept.setdefault(name, {})[str(ranks)] = round(ratio, 3)
    file.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", choices=[*MODELS, []], default=[])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--torch", metavar="PYTHON", help="a Python that has PyTorch")
    parser.add_argument("--save", type=Path, metavar="FILE", help="add the efficiencies to this file")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        ranks, meeting, cores = json.loads(given.serve[0])
        serve_pytorch(int(given.serve[1]), ranks, meeting, cores)
        return
    cores = sorted(os.sched_getaffinity(0))
    python = given.torch or (sys.executable if importlib.util.find_spec("torch") else None)
    dist = import_module("allgrad.dist")
    dist.init()
    if dist.world_size() == 1:
        sys.exit("start it with mpirun -n 2, or more")
    take_core(dist.local_rank(), cores)
    with pytorch(python, dist.rank() == 0, dist.world_size(), cores) as rival:
        for name in given.models or MODELS:
            found = measure(name, given.rounds, given.seconds, rival)
            if dist.rank() == 0:
                tell(name, found)
                if given.save:
                    save(given.save, dist.world_size(), name, found)


if __name__ == "__main__":
    main()
