"""What a step of training costs, allgrad and PyTorch in turn in the same process, pinned to one core and one thread.

    python benchmarks/engine_training.py [--rounds 9] [--core 0] [WORKLOAD ...]

Both libraries run the same program, written once below for whichever it is given. The rounds alternate; a row shows the
least time of each library and the median over the rounds of the ratio, which a busy machine disturbs least. Without
PyTorch it prints allgrad's times alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read when NumPy and PyTorch load, which is later

import numpy as np  # noqa: E402

Step = Callable[[], Any]
LEAST_SECONDS = 0.05  # a round repeats a short step for so long


def numbers(library: Any, *shape: int, seed: int = 0) -> Any:
    """The same normal float32 numbers in both libraries."""
    return library.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def classes(library: Any, count: int, below: int) -> Any:
    """The same class numbers in both libraries."""
    return library.from_numpy(np.random.default_rng(1).integers(0, below, count))


def training(library: Any, model: Any, optimizer: Any, inputs: Any, loss_of: Callable[[Any], Any]) -> Step:
    """A step of *optimizer* on *model*."""

    def step() -> None:
        optimizer.zero_grad()
        loss_of(model(inputs)).backward()
        optimizer.step()

    return step


def classifying(library: Any, model: Any, optimizer: Any, inputs: Any, count: int, below: int) -> Step:
    """A step of *optimizer* on *model* with the cross entropy of *count* classes."""
    target = classes(library, count, below)
    entropy = library.nn.functional.cross_entropy
    return training(library, model, optimizer, inputs, lambda out: entropy(out, target))


def chain(library: Any) -> Step:
    """1,000 multiplications of four numbers, forward and backward."""
    x = library.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    factor, weight = library.ones(4), library.ones(4)

    def step() -> None:
        y = x
        for _ in range(1000):
            y = y * factor
        y.backward(weight)

    return step


def tiny_mlp(library: Any) -> Step:
    """2-16-1 with tanh on 32 points."""
    nn = library.nn
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    target = numbers(library, 32, 1, seed=1)
    optimizer = library.optim.SGD(model.parameters(), lr=0.01)
    mse = library.nn.functional.mse_loss
    return training(library, model, optimizer, numbers(library, 32, 2), lambda out: mse(out, target))


def mlp(library: Any, rule: str) -> Step:
    """784-256-256-10 with relu on 64 images."""
    nn = library.nn
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    optimizer = getattr(library.optim, rule)(model.parameters(), lr=1e-4)
    return classifying(library, model, optimizer, numbers(library, 64, 784), 64, 10)


def cnn(library: Any) -> Step:
    """Two convolutions of 3×3 (1→32→64), a pool, and layers of 128 and 10, on 64 images of 28×28."""
    nn = library.nn
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    optimizer = library.optim.SGD(model.parameters(), lr=1e-3)
    return classifying(library, model, optimizer, numbers(library, 64, 1, 28, 28), 64, 10)


def residual_blocks(library: Any) -> Step:
    """Two residual blocks of 32 channels with batch norm on 16×3×32×32."""
    nn = library.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
            self.second = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32))

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(x + self.second(self.first(x)))

    class Network(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 32, 3, padding=1)
            self.blocks = nn.Sequential(Block(), Block())
            self.head = nn.Linear(32, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.blocks(self.stem(x)).mean((2, 3)))

    model = Network()
    optimizer = library.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    return classifying(library, model, optimizer, numbers(library, 16, 3, 32, 32), 16, 10)


def lstm(library: Any) -> Step:
    """An LSTM from 32 to 64 over 40 steps of 32 sequences, and the mean square of what it gives."""
    model = library.nn.LSTM(32, 64)
    optimizer = library.optim.SGD(model.parameters(), lr=1e-3)
    inputs = numbers(library, 40, 32, 32)
    return training(library, model, optimizer, inputs, lambda out: (out[0] * out[0]).mean())


def attend(library: Any, q: Any, k: Any, v: Any) -> Any:
    """Attention of each place to all places, by the library's own function where it has one."""
    functional = library.nn.functional
    if hasattr(functional, "scaled_dot_product_attention"):
        return functional.scaled_dot_product_attention(q, k, v)
    weights = functional.softmax(q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5, dim=-1)
    return weights @ v


def transformer(library: Any, batch: int) -> Step:
    """Four layers of width 128 with 4 heads on 64 tokens, norm first and exact GELU."""
    nn = library.nn

    class Layer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(128), nn.LayerNorm(128)
            self.project, self.out = nn.Linear(128, 384), nn.Linear(128, 128)
            self.feed = nn.Sequential(nn.Linear(128, 512), nn.GELU(), nn.Linear(512, 128))

        def forward(self, x: Any) -> Any:
            q, k, v = (
                part.reshape(batch, 64, 4, 32).transpose(1, 2) for part in self.project(self.norm1(x)).chunk(3, -1)
            )
            mixed = attend(library, q, k, v).transpose(1, 2).reshape(batch, 64, 128)
            x = x + self.out(mixed)
            return x + self.feed(self.norm2(x))

    model = nn.Sequential(nn.Embedding(100, 128), *(Layer() for _ in range(4)), nn.LayerNorm(128), nn.Linear(128, 100))
    optimizer = library.optim.AdamW(model.parameters(), lr=1e-4)
    tokens = classes(library, batch * 64, 100)
    entropy = nn.functional.cross_entropy
    inputs = tokens.reshape(batch, 64)
    return training(library, model, optimizer, inputs, lambda out: entropy(out.reshape(-1, 100), tokens))


def elementwise(library: Any, name: str) -> Step:
    """One function of a million numbers, forward and backward."""
    x = numbers(library, 1_000_000).requires_grad_()
    weight = library.ones(1_000_000)
    function = getattr(library, name)

    def step() -> None:
        x.grad = None
        function(x).backward(weight)

    return step


def forward_only(library: Any, name: str) -> Step:
    """One function of a million numbers, without gradient."""
    x = numbers(library, 1_000_000)
    function = getattr(library, name)
    return lambda: function(x)


WORKLOADS: dict[str, Callable[[Any], Step]] = {
    "chain of 1,000": chain,
    "tiny MLP": tiny_mlp,
    "MLP, SGD": lambda library: mlp(library, "SGD"),
    "MLP, Adam": lambda library: mlp(library, "Adam"),
    "CNN": cnn,
    "residual blocks": residual_blocks,
    "LSTM": lstm,
    "transformer, 12": lambda library: transformer(library, 12),
    "transformer, 64": lambda library: transformer(library, 64),
    "tanh 1 M": lambda library: forward_only(library, "tanh"),
    "exp 1 M": lambda library: forward_only(library, "exp"),
    "tanh 1 M, backward": lambda library: elementwise(library, "tanh"),
    "exp 1 M, backward": lambda library: elementwise(library, "exp"),
}


def peers() -> dict[str, ModuleType]:
    """The libraries to compare: allgrad, and PyTorch where it is installed."""
    import allgrad

    found: dict[str, ModuleType] = {"allgrad": allgrad}
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: no ratios", file=sys.stderr)
    else:
        torch.set_num_threads(1)
        found["torch"] = torch
    return found


def seconds(step: Step, repeats: int) -> float:
    """How long one of *repeats* steps takes."""
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def rounds(steps: dict[str, Step], count: int) -> Iterator[dict[str, float]]:
    """The time of a step in each library, alternately, *count* times."""
    repeats = {}
    for name, step in steps.items():
        for _ in range(3):
            step()  # whatever is done once: compiling, filling caches
        repeats[name] = max(1, int(LEAST_SECONDS / seconds(step, 1)))
    for _ in range(count):
        yield {name: seconds(step, repeats[name]) for name, step in steps.items()}


def start_up() -> dict[str, list[float]]:
    """Seconds and MB that a new process takes to import each library and make a tensor, least of several."""
    program = (
        "import time; start = time.perf_counter(); import {0}; {0}.ones(3); end = time.perf_counter();"
        "size = [line for line in open('/proc/self/status') if line.startswith('VmHWM')][0].split()[1];"
        "print(end - start, int(size) / 1024)"
    )
    found = {}
    for name in peers():
        runs = [
            subprocess.run([sys.executable, "-c", program.format(name)], capture_output=True, text=True, check=True)
            for _ in range(5)
        ]
        found[name] = [min(column) for column in zip(*(map(float, r.stdout.split()) for r in runs), strict=True)]
    return found


def report(workload: str, libraries: dict[str, ModuleType], count: int) -> None:
    """Measure one workload and print its row."""
    make = WORKLOADS[workload]
    try:
        steps = {name: make(library) for name, library in libraries.items()}
    except AttributeError as missing:
        print(f"{workload:22}not possible yet: {missing}")
        return
    measured = list(rounds(steps, count))
    row = "".join(f"{min(r[name] for r in measured) * 1e3:12.3f}" for name in libraries)
    ratio = ""
    if "torch" in libraries:
        ratio = f"{statistics.median(r['allgrad'] / r['torch'] for r in measured):18.2f}"
    print(f"{workload:22}{row}{ratio}", flush=True)


def main() -> None:
    """Measure what was asked for, and print milliseconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)))
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="names, or parts of names, of workloads")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {asked.core})
    libraries = peers()
    print(f"{'milliseconds a step':22}" + "".join(f"{name:>12}" for name in libraries) + "   allgrad / torch")
    for workload in WORKLOADS:
        if not asked.workloads or any(part in workload for part in asked.workloads):
            report(workload, libraries, asked.rounds)
    if not asked.workloads:
        for name, (took, size) in start_up().items():
            print(f"import and a first tensor, {name}: {took:.2f} s, {size:.0f} MB")


if __name__ == "__main__":
    main()
