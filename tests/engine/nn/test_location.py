"""An error inside a network says in which module it arose."""

from __future__ import annotations

from typing import Any

import pytest

import allgrad as torch
from allgrad import nn


class Net(nn.Module):
    """A network with a module in a list that it does not know of."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 9), nn.Sequential(nn.ReLU(), nn.Linear(8, 2)))
        self.hidden = [nn.Linear(3, 3)]
        self.conv = nn.Conv2d(3, 4, 3)
        self.weight = nn.Parameter(torch.ones(2, 2))

    def forward(self, x: Any, where: str) -> Any:
        if where == "own":
            raise ValueError("the network's own error")
        if where == "product":
            return x @ self.weight
        return {"encoder": self.encoder, "hidden": self.hidden[0], "conv": self.conv}[where](x)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            "encoder",
            r"^Net\.encoder\.1\.1 \(Linear 8→2\): mat1 and mat2 shapes cannot be multiplied \(1x9 and 8x2\)",
        ),
        ("hidden", r"^Net\.<Linear> \(Linear 3→3\): mat1 and mat2 shapes"),
        ("conv", r"^Net\.conv \(Conv2d 3→4\): "),
        ("product", r"^Net: mat1 and mat2 shapes"),
    ],
)
def test_the_path_of_the_module_leads_the_message(where: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        Net()(torch.ones(1, 4), where)


def test_a_module_alone_gives_its_short_form() -> None:
    with pytest.raises(RuntimeError, match=r"^Linear 9→2: mat1 and mat2 shapes"):
        nn.Linear(9, 2)(torch.ones(1, 8))


def test_a_networks_own_errors_stay_as_they_are() -> None:
    with pytest.raises(ValueError, match=r"^the network's own error$"):
        Net()(torch.ones(1, 4), "own")


def test_the_same_error_raised_twice_is_located_anew() -> None:
    net = nn.Sequential(nn.Linear(2, 3))
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"^Sequential\.0 \(Linear 2→3\): mat1"):
            net(torch.ones(1, 5))


def test_hooks_do_not_hide_the_path() -> None:
    net = nn.Sequential(nn.Linear(2, 3))
    net[0].register_forward_hook(lambda module, args, output: None)
    with pytest.raises(RuntimeError, match=r"^Sequential\.0 \(Linear 2→3\): mat1"):
        net(torch.ones(1, 5))
