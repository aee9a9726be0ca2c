"""Containers of modules and of parameters behave as the lists and dicts they stand for."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import allgrad as torch
from allgrad import nn


def test_a_sequence_applies_its_modules_in_order() -> None:
    double = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        double.weight.fill_(2)
    net = nn.Sequential(double, nn.ReLU(), double)
    assert net(torch.tensor([[3.0]])).item() == 12
    assert net(torch.tensor([[-3.0]])).item() == 0


def test_a_sequence_is_indexed_sliced_and_changed() -> None:
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    net = nn.Sequential(a, b, c)
    assert net[-1] is c
    assert list(net[:2]) == [a, b]
    assert isinstance(net[:2], nn.Sequential)
    net[1] = nn.GELU()
    assert isinstance(net[1], nn.GELU)
    del net[0]
    assert list(net._modules) == ["0", "1"]
    net.append(a).insert(0, b)
    assert [type(m).__name__ for m in net] == ["Tanh", "GELU", "Sigmoid", "ReLU"]
    assert net.pop() is a
    assert len(net) == 3
    with pytest.raises(IndexError, match="index 3 is out of range"):
        net[3]


def test_a_named_sequence_keeps_its_names() -> None:
    net = nn.Sequential(OrderedDict(first=nn.ReLU(), second=nn.Tanh()))
    assert isinstance(net.second, nn.Tanh)
    del net[0]
    assert list(net._modules) == ["second"]


def test_a_list_registers_its_modules() -> None:
    modules = nn.ModuleList(nn.Linear(1, 1) for _ in range(3))
    assert len(list(modules.parameters())) == 6
    modules += [nn.ReLU()]
    assert len(modules + [nn.Tanh()]) == 5
    assert isinstance(modules[1:], nn.ModuleList)
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        modules(1)


def test_a_dict_registers_its_modules() -> None:
    modules = nn.ModuleDict({"a": nn.Linear(1, 1)})
    modules["b"] = nn.ReLU()
    modules.update([("c", nn.Tanh())])
    assert list(modules) == list(modules.keys()) == ["a", "b", "c"]
    assert "b" in modules
    assert [name for name, _ in modules.items()] == ["a", "b", "c"]
    assert isinstance(modules.pop("c"), nn.Tanh)
    del modules["b"]
    assert len(list(modules.parameters())) == 2
    modules.clear()
    assert len(modules) == 0


def test_a_parameter_list_registers_tensors_as_parameters() -> None:
    values = nn.ParameterList([torch.ones(2), nn.Parameter(torch.zeros(3))])
    values.append(torch.ones(1))
    assert [name for name, _ in values.named_parameters()] == ["0", "1", "2"]
    values[0] = torch.zeros(4)
    assert values[0].shape == (4,)
    assert [p.numel() for p in values] == [4, 3, 1]
    assert len(values[1:]) == 2
    with pytest.raises(IndexError, match="index 5 is out of range"):
        values[5]


def test_a_parameter_dict_registers_tensors_as_parameters() -> None:
    values = nn.ParameterDict({"a": torch.ones(2)})
    values["b"] = torch.ones(3)
    assert list(values) == ["a", "b"]
    assert [p.numel() for p in values.parameters()] == [2, 3]
    assert all(isinstance(value, nn.Parameter) for _, value in values.items())
    del values["a"]
    assert "a" not in values
    with pytest.raises(KeyError, match="a"):
        values["a"]
    assert repr(values) == "ParameterDict(  (b): Parameter containing: [torch.FloatTensor of size 3])"
