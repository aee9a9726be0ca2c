"""vmap, Jacobians and Hessians beside the loop they replace, and beside ``torch.func`` in the same process where it is installed.

Run it on one thread: ``OMP_NUM_THREADS=1 python benchmarks/vectorize.py``. Times are the least of several calls, in
milliseconds; "ordinary" is one backward pass of the whole batch, "rows" one call for each example or element.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

BATCH = 64
SIZE = 100
Task = dict[str, Callable[[], Any]]


def networks(library: ModuleType) -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Two small networks, and the shape of an example for each."""
    nn = library.nn
    return {
        "MLP": (nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.Tanh(), nn.Linear(64, 10)), (64,)),
        "CNN": (
            nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
                nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 49, 10),
            ),
            (1, 28, 28),
        ),
    }  # fmt: skip


def per_sample(library: ModuleType, model: Any, shape: tuple[int, ...]) -> Task:
    """The gradients of each example's loss."""
    func, loss_of = library.func, library.nn.functional.cross_entropy
    x, y = library.randn(BATCH, *shape), library.randint(0, 10, (BATCH,))
    params = {name: p.detach() for name, p in model.named_parameters()}

    def loss(params: Any, x: Any, y: Any) -> Any:
        return loss_of(func.functional_call(model, params, (x.unsqueeze(0),)), y.unsqueeze(0))

    mapped, one = func.vmap(func.grad(loss), in_dims=(None, 0, 0)), func.grad(loss)
    return {
        "at once": lambda: mapped(params, x, y),
        "rows": lambda: [one(params, x[i], y[i]) for i in range(BATCH)],
        "ordinary": lambda: loss_of(model(x), y).backward(),
    }


def second_order(library: ModuleType) -> dict[str, Task]:
    """The Jacobian and the Hessian of functions of ``SIZE`` numbers."""
    weight, x = library.randn(SIZE, SIZE) / 10, library.randn(SIZE)
    func, grad = library.func, library.autograd.grad

    def many(x: Any) -> Any:
        return library.tanh(weight @ x)

    def single(x: Any) -> Any:
        return many(x).square().sum()

    def rows(of_gradient: bool) -> Any:
        at = x.clone().requires_grad_()
        y = grad(single(at), at, create_graph=True)[0] if of_gradient else many(at)
        return library.stack([grad(y[i], at, retain_graph=True)[0] for i in range(SIZE)])

    return {
        f"jacrev {SIZE} × {SIZE}": {
            "at once": lambda: func.jacrev(many)(x),
            "rows": lambda: rows(of_gradient=False),
            "ordinary": lambda: func.grad(lambda x: many(x).sum())(x),
        },
        f"hessian {SIZE} × {SIZE}": {
            "at once": lambda: func.hessian(single)(x),
            "rows": lambda: rows(of_gradient=True),
            "ordinary": lambda: func.grad(single)(x),
        },
    }


def tasks(library: ModuleType) -> dict[str, Task]:
    """Everything that is measured."""
    found = {f"per-sample gradients, {name}": per_sample(library, *made) for name, made in networks(library).items()}
    return found | second_order(library)


def milliseconds(function: Callable[[], Any], rounds: int = 7) -> float:
    """The least time of several calls."""
    function()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def main() -> None:
    """Print a row for each task."""
    import allgrad

    allgrad.set_num_threads(1)
    theirs: dict[str, Task] = {}
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: no ratios")
    else:
        torch.set_num_threads(1)
        theirs = tasks(torch)
    print(
        f"{'':32}{'at once':>10}{'rows':>10}{'ordinary':>10}{'rows/once':>11}{'once/ord.':>11}{'torch.func':>12}{'ratio':>7}"
    )
    for name, task in tasks(allgrad).items():
        once, rows, ordinary = (milliseconds(task[kind]) for kind in ("at once", "rows", "ordinary"))
        other = milliseconds(theirs[name]["at once"]) if theirs else float("nan")
        print(f"{name:32}{once:10.2f}{rows:10.1f}{ordinary:10.2f}{rows / once:11.1f}{once / ordinary:11.1f}"
              f"{other:12.2f}{once / other:7.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
