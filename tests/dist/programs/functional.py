"""Differentiable collectives on this rank: gradients against finite differences of the sum of all ranks' losses."""

import sys
from collections.abc import Callable

import numpy as np

import allgrad as torch
from allgrad import dist
from allgrad.dist import functional

dist.init()
RANK, SIZE = dist.rank(), dist.world_size()
assert int(sys.argv[1]) == SIZE
STEP = 1e-6
torch.manual_seed(RANK)

FUNCTIONS: dict[str, tuple[tuple[int, ...], Callable[[torch.Tensor], torch.Tensor]]] = {
    "all_reduce": ((3,), functional.all_reduce),
    "all_reduce mean": ((3,), lambda x: functional.all_reduce(x, "mean")),
    "all_reduce max": ((3,), lambda x: functional.all_reduce(x, "max")),
    "all_reduce min": ((3,), lambda x: functional.all_reduce(x, "min")),
    "reduce": ((3,), lambda x: functional.reduce(x, SIZE - 1)),
    "reduce mean": ((3,), lambda x: functional.reduce(x, SIZE - 1, "avg")),
    "broadcast": ((2, 2), lambda x: functional.broadcast(x, SIZE - 1)),
    "all_gather": ((2,), lambda x: torch.stack(functional.all_gather(x))),
    "gather": ((2,), lambda x: torch.stack(functional.gather(x, SIZE - 1))),
    "scatter": ((SIZE, 2), lambda x: functional.scatter(x.unbind(0), SIZE - 1)),
    "reduce_scatter": ((SIZE, 2), lambda x: functional.reduce_scatter(x.unbind(0))),
    "reduce_scatter mean": ((SIZE, 2), lambda x: functional.reduce_scatter(x.unbind(0), "mean")),
    "all_to_all": ((SIZE, 2), lambda x: torch.stack(functional.all_to_all(x.unbind(0)))),
}


def total(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, weights: torch.Tensor) -> float:
    with torch.no_grad():
        return dist.mean((function(x).sin() * weights).sum()) * SIZE


def numerical_gradient(
    function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, weights: torch.Tensor
) -> np.ndarray:
    mine = np.zeros(tuple(x.shape))
    for rank in range(SIZE):
        for place in np.ndindex(mine.shape):
            step = torch.zeros_like(x)
            step[place] = STEP if rank == RANK else 0.0
            slope = (total(function, x + step, weights) - total(function, x - step, weights)) / (2 * STEP)
            if rank == RANK:
                mine[place] = slope
    return mine


for name, (shape, function) in FUNCTIONS.items():
    x = torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(*function(x).shape, dtype=torch.float64)
    (function(x).sin() * weights).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(
        x.grad.numpy(), numerical_gradient(function, x.detach(), weights), atol=1e-7, err_msg=name
    )
    (first,) = torch.autograd.grad((function(x).sin() * weights).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((first**2).sum(), x)
    assert second.shape == x.shape, name
    print(f"rank {RANK}: {name}")

x = torch.ones(3, requires_grad=True)
y = x * 2
z = y * y
dist.all_reduce(y)
message = ""
try:
    z.sum().backward()
except RuntimeError as error:
    message = str(error)
assert "in place" in message or "inplace" in message, message
print(f"rank {RANK}: a value changed by a collective is not used silently")
