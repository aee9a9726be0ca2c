"""What the reproducible mode costs a step, and a checkpoint: run as `mpirun -n 2 python benchmarks/reproducible_price.py`.

Each round times one step of each of three, in turn, on the same model and batch, one thread a rank; the table gives the
median over the rounds and its ratio to the fast mode:

fast      one forward and backward pass over this rank's part of the batch, reduced during backward
in parts  the fast mode at equal shards: as many passes as this rank has shards, all but the last within no_sync()
sharded   the reproducible mode: the same passes, gradients added along the tree

The stall is what `Checkpointer.save` takes within a step, of model and Adam's state, against the step's time.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import allgrad as torch
from allgrad import Tensor, dist, nn
from allgrad.dist.reproducible.sameness import use_one_thread

ROUNDS, SHARDS, BATCH = 30, 8, 256
Loss = Callable[[Tensor, Tensor], Tensor]


def mlp() -> tuple[nn.Module, Tensor]:
    """2.6 million parameters, 10 MB, which a shard of 32 samples hardly pays for."""
    layers = nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 1024))
    return nn.Sequential(layers, nn.Linear(1024, 10)), torch.randn(BATCH, 512)


def cnn() -> tuple[nn.Module, Tensor]:
    """20 thousand parameters, where nearly all of the time is in the convolutions."""
    convolutions = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU())
    return nn.Sequential(convolutions, nn.MaxPool2d(4), nn.Flatten(), nn.Linear(512, 10)), torch.randn(BATCH, 1, 16, 16)


def timed(step: Callable[[], object]) -> float:
    """Seconds that *step* takes, with all ranks beginning together."""
    dist.barrier()
    begin = time.perf_counter()
    step()
    dist.barrier()
    return time.perf_counter() - begin


def timed_alone(call: Callable[[], object]) -> float:
    """Seconds that *call* takes on this rank."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def steps(make: Callable[[], tuple[nn.Module, Tensor]]) -> dict[str, Callable[[], object]]:
    """The three ways of computing one and the same step."""
    torch.manual_seed(0)
    (fast, x), (sharded, _) = make(), make()
    labels = torch.randint(0, 10, (BATCH,))
    first, end = (BATCH * rank // dist.world_size() for rank in (dist.rank(), dist.rank() + 1))
    x, labels = x[first:end].contiguous(), labels[first:end].contiguous()
    parts = SHARDS // dist.world_size()
    fast_parallel = dist.DataParallel(fast)
    sharded_parallel = dist.DataParallel(sharded, virtual_shards=SHARDS)
    loss_of = nn.CrossEntropyLoss()

    def in_parts() -> None:
        pieces = list(zip(x.chunk(parts), labels.chunk(parts), strict=True))
        fast.zero_grad()
        with fast_parallel.no_sync():
            for images, wanted in pieces[:-1]:
                (loss_of(fast_parallel(images), wanted) / parts).backward()
        images, wanted = pieces[-1]
        (loss_of(fast_parallel(images), wanted) / parts).backward()

    def whole() -> None:
        fast.zero_grad()
        loss_of(fast_parallel(x), labels).backward()

    def reproducible() -> None:
        sharded.zero_grad()
        sharded_parallel.backward(loss_of, x, labels)

    return {"fast": whole, "in parts": in_parts, "sharded": reproducible}


def compare(name: str, make: Callable[[], tuple[nn.Module, Tensor]]) -> None:
    """Print the table of one model."""
    ways = steps(make)
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(ROUNDS + 3):
        for way, step in ways.items():
            took = timed(step)
            if number >= 3:
                times[way].append(took)
    medians = {way: statistics.median(found) for way, found in times.items()}
    if dist.rank() == 0:
        for way, median in medians.items():
            print(
                f"{name:4} {way:9} {1e3 * median:8.2f} ms   {median / medians['fast']:.3f} of fast"
                f"   {median / medians['in parts']:.3f} of in parts"
            )


def stall(folder: Path) -> None:
    """Print what a save adds to the step it is made in, and to the steps during which its thread writes."""
    model, x = mlp()
    labels = torch.randint(0, 10, (BATCH,))
    parallel = dist.DataParallel(model)
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(parallel(x), labels).backward()
        optimizer.step()

    plain, beside, stalls = [], [], []
    with dist.Checkpointer(folder, keep_last=1) as checkpointer:
        for number in range(8):
            plain += [timed(step) for _ in range(5)]
            save = partial(checkpointer.save, number, model=model, optimizer=optimizer)
            dist.barrier()
            stalls.append(timed_alone(save))
            beside.append(timed(step))
            checkpointer.wait()
    if dist.rank() == 0:
        size = sum(path.stat().st_size for path in folder.glob("*/*.safetensors"))
        mine = np.ones(size // dist.world_size(), np.uint8)
        copy = mine.copy()
        copies = [timed_alone(lambda: np.copyto(copy, mine)) for _ in range(8)]
        bare, stalled, usual, slowed = (1e3 * statistics.median(found) for found in (copies, stalls[1:], plain, beside))
        print(
            f"save of {size / 1e6:.0f} MB: stall {stalled:.2f} ms, of which a bare copy of a rank's part {bare:.2f}; "
            f"the first save {1e3 * stalls[0]:.2f}; step {usual:.2f}, beside the writing {slowed:.2f}"
        )


def main() -> None:
    """Measure and print."""
    dist.init()
    use_one_thread()
    compare("MLP", mlp)
    compare("CNN", cnn)
    with tempfile.TemporaryDirectory() as folder:
        stall(Path(dist.broadcast_object(folder)))
        dist.barrier()


if __name__ == "__main__":
    main()
