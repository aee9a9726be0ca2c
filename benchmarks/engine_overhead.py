"""What an operation on a small tensor costs, allgrad and PyTorch in turn in the same process, on one thread.

Run it pinned to a core: ``taskset -c 1 python benchmarks/engine_overhead.py``. Without PyTorch it prints allgrad's times
alone. Each figure is the least of several rounds, the rounds of both libraries alternating.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

CHAIN = 1_000
ROUNDS = 15


def chains(library: ModuleType) -> dict[str, Callable[[], Any]]:
    """Chains of operations on four elements, forward, and forward with backward."""
    start = library.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    factor = library.ones(4)
    weight = library.ones(4)

    def by_tensor() -> Any:
        x = start
        for _ in range(CHAIN):
            x = x * factor
        return x

    def by_float() -> Any:
        x = start
        for _ in range(CHAIN):
            x = x * 1.0001
        return x

    return {
        "Tensor × Tensor, forward": by_tensor,
        "Tensor × Tensor, forward + backward": lambda: by_tensor().backward(weight),
        "Tensor × float, forward": by_float,
        "Tensor × float, forward + backward": lambda: by_float().backward(weight),
    }


def seconds(function: Callable[[], Any]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


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


def main() -> None:
    """Measure and print microseconds per operation, and the ratio."""
    libraries = peers()
    programs = {name: chains(library) for name, library in libraries.items()}
    print(f"{'µs per operation':38}" + "".join(f"{name:>10}" for name in libraries) + "     torch / allgrad")
    for case in programs["allgrad"]:
        best = dict.fromkeys(libraries, float("inf"))
        for _ in range(ROUNDS):
            for name in libraries:
                best[name] = min(best[name], seconds(programs[name][case]))
        row = "".join(f"{value / CHAIN * 1e6:10.2f}" for value in best.values())
        ratio = f"{best['torch'] / best['allgrad']:16.2f}" if "torch" in best else ""
        print(f"{case:38}{row}{ratio}")


if __name__ == "__main__":
    main()
