"""Modules: registering, finding, converting, hooking, saving and loading, and how they print."""

from __future__ import annotations

import copy
import io
import pickle
from collections import OrderedDict
from typing import Any

import pytest

import allgrad as torch
from allgrad import nn
from allgrad.nn import Module, Parameter


class Net(Module):
    """A network with nested children, a tied parameter and two kinds of buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))
        self.head = nn.Linear(8, 2, bias=False)
        self.scale = Parameter(torch.ones(()))
        self.tied = self.head.weight
        self.register_buffer("count", torch.zeros(2))
        self.register_buffer("cache", torch.zeros(3), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.head(self.encoder(x)) * self.scale


def test_parameters_are_found_by_path_and_tied_ones_once() -> None:
    net = Net()
    names = ["scale", "tied", "encoder.0.weight", "encoder.0.bias", "encoder.2.weight", "encoder.2.bias"]
    assert [name for name, _ in net.named_parameters()] == names
    assert len(list(net.parameters())) == 6
    assert "head.weight" in dict(net.named_parameters(remove_duplicate=False))
    assert [name for name, _ in net.named_parameters("net", recurse=False)] == ["net.scale", "net.tied"]
    assert [name for name, _ in net.named_buffers()] == ["count", "cache"]
    assert [name for name, _ in net.named_children()] == ["encoder", "head"]
    assert [name for name, _ in net.named_modules()] == ["", "encoder", "encoder.0", "encoder.1", "encoder.2", "head"]


def test_members_are_got_by_path() -> None:
    net = Net()
    assert net.get_submodule("encoder.2") is net.encoder[2]
    assert net.get_submodule("") is net
    assert net.get_parameter("encoder.0.weight") is net.encoder[0].weight
    assert net.get_buffer("count") is net.count
    with pytest.raises(AttributeError, match="Sequential has no attribute `7`"):
        net.get_submodule("encoder.7")
    with pytest.raises(AttributeError, match=r"`scale` is not an nn\.Module"):
        net.get_submodule("scale")
    with pytest.raises(AttributeError, match=r"`encoder\.1\.weight` is not an nn\.Parameter of Net"):
        net.get_parameter("encoder.1.weight")


def test_a_name_belongs_to_one_kind_of_member_at_a_time() -> None:
    module = Module()
    module.x = 3
    module.x = Parameter(torch.ones(1))
    assert list(module._parameters) == ["x"]
    assert "x" not in module.__dict__
    module.x = nn.ReLU()
    assert (list(module._parameters), list(module._modules)) == ([], ["x"])
    module.x = None
    assert module.x is None
    del module.x
    assert not hasattr(module, "x")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda net: setattr(net, "scale", torch.ones(1)),
            TypeError,
            r"cannot assign 'torch\.Tensor' as parameter 'sc",
        ),
        (lambda net: setattr(net, "head", 3), TypeError, "cannot assign 'int' as child module 'head'"),
        (lambda net: setattr(net, "count", [1]), TypeError, "cannot assign 'list' as buffer 'count'"),
        (lambda net: net.register_buffer("scale", None), KeyError, "attribute 'scale' already exists"),
        (lambda net: net.register_parameter("a.b", None), KeyError, "t contain"),
        (lambda net: net.register_parameter("", None), KeyError, "t be empty string"),
        (lambda net: net.register_parameter("new", torch.ones(1)), TypeError, r"torch\.nn\.Parameter or None required"),
        (lambda net: net.add_module("new", 3), TypeError, "int is not a Module subclass"),
        (lambda net: net.missing, AttributeError, "'Net' object has no attribute 'missing'"),
        (lambda net: net.train("yes"), ValueError, "training mode is expected to be boolean"),
        (lambda net: net.to(torch.int64), TypeError, r"only accepts floating point or complex dtypes.*torch\.int64"),
        (lambda net: net.to("cuda"), RuntimeError, "on the CPU only"),
    ],
)
def test_impossible_changes_raise_pytorchs_errors(change: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        change(Net())


def test_a_module_that_does_not_call_super_is_told_to() -> None:
    class Forgetful(Module):
        def __init__(self) -> None:
            self.weight = Parameter(torch.ones(1))

    with pytest.raises(AttributeError, match=r"cannot assign parameters before Module\.__init__\(\) call"):
        Forgetful()


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r'Module \[Module\] is missing the required "forward" function'):
        Module()(1)


def test_training_mode_reaches_all_modules() -> None:
    net = Net()
    assert all(not module.training for module in net.eval().modules())
    assert all(module.training for module in net.train().modules())


def test_gradients_are_reset_and_parameters_frozen() -> None:
    net = Net()
    net(torch.ones(1, 4)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not p.grad.any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(torch.ones(1, 4)).requires_grad


def test_conversion_keeps_the_parameters_themselves() -> None:
    net = Net()
    before = list(net.parameters())
    net(torch.ones(1, 4)).sum().backward()
    assert net.double() is net
    assert all(p.dtype is torch.float64 and p.grad is not None and p.grad.dtype is torch.float64 for p in before)
    assert net.count.dtype is torch.float64
    assert [id(p) for p in net.parameters()] == [id(p) for p in before]
    assert net(torch.ones(1, 4, dtype=torch.float64)).dtype is torch.float64
    assert net.to("cpu").to(torch.ones(1)).half().float().scale.dtype is torch.float32


def test_apply_visits_children_first() -> None:
    seen: list[str] = []
    Net().apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "ReLU", "Linear", "Sequential", "Linear", "Net"]


def test_state_comes_back_through_a_file() -> None:
    net, other = Net(), Net()
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    state = torch.load(file)
    assert type(state) is OrderedDict
    assert list(state) == [
        "scale", "tied", "count", "encoder.0.weight", "encoder.0.bias", "encoder.2.weight", "encoder.2.bias", "head.weight"
    ]  # fmt: skip
    assert str(other.load_state_dict(state)) == "<All keys matched successfully>"
    x = torch.randn(3, 4)
    assert torch.equal(net(x), other(x))
    assert other.head.weight is other.tied


def test_state_shares_memory_and_has_no_history() -> None:
    net = Net()
    state = net.state_dict(prefix="net.")
    assert not state["net.scale"].requires_grad
    state["net.scale"].fill_(7)
    assert net.scale.item() == 7
    assert net.state_dict(keep_vars=True)["scale"] is net.scale


def test_differences_are_all_listed_when_loading() -> None:
    state = Net().state_dict()
    del state["scale"]
    state["encoder.0.weight"] = torch.ones(9, 4)
    state["head.bias"] = torch.ones(2)
    state["foreign.x"] = torch.ones(2)
    state["count"] = 3
    with pytest.raises(RuntimeError) as caught:
        Net().load_state_dict(state)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "scale". \n'
        '\tUnexpected key(s) in state_dict: "foreign.x", "head.bias". \n'
        '\tWhile copying the parameter named "count", expected torch.Tensor or Tensor-like object from checkpoint but '
        "received <class 'int'>\n"
        "\tsize mismatch for encoder.0.weight: copying a param with shape torch.Size([9, 4]) from checkpoint, "
        "the shape in current model is torch.Size([8, 4])."
    )
    del state["count"], state["encoder.0.weight"]
    keys = Net().load_state_dict(state, strict=False)
    assert keys.missing_keys == ["scale", "count", "encoder.0.weight"]
    assert keys.unexpected_keys == ["foreign.x", "head.bias"]
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like"):
        Net().load_state_dict([])  # type: ignore[arg-type]


def test_loading_can_put_the_tensors_themselves_in_place() -> None:
    net = Net()
    state = {name: value.double() for name, value in Net().state_dict().items()}
    net.load_state_dict(state, assign=True)
    assert net.encoder[0].weight.dtype is torch.float64
    assert isinstance(net.encoder[0].weight, Parameter)
    assert net.count is state["count"]


def test_a_module_can_add_state_of_its_own() -> None:
    class Counting(Module):
        steps = 0

        def get_extra_state(self) -> Any:
            return {"steps": self.steps}

        def set_extra_state(self, state: Any) -> None:
            self.steps = state["steps"]

    one, other = nn.Sequential(Counting()), nn.Sequential(Counting())
    one[0].steps = 5
    other.load_state_dict(one.state_dict())
    assert other[0].steps == 5
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0\._extra_state"'):
        other.load_state_dict({})


def test_state_hooks_are_called() -> None:
    net = nn.Linear(1, 1)
    calls: list[str] = []
    net.register_state_dict_pre_hook(lambda module, prefix, keep_vars: calls.append("before"))
    net.register_state_dict_post_hook(lambda module, state, prefix, meta: state.update(extra=torch.ones(1)))
    net.register_load_state_dict_pre_hook(lambda module, state, *rest: state.pop("extra") and None)
    net.register_load_state_dict_post_hook(lambda module, keys: calls.append(str(keys)))
    net.load_state_dict(net.state_dict())
    assert calls == ["before", "<All keys matched successfully>"]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_is_independent_and_keeps_ties(duplicate: Any) -> None:
    net = Net()
    net(torch.ones(1, 4)).sum().backward()
    twin = duplicate(net)
    assert twin.tied is twin.head.weight
    assert torch.equal(twin(torch.ones(1, 4)), net(torch.ones(1, 4)))
    with torch.no_grad():
        twin.scale.fill_(5)
    assert net.scale.item() == 1


def test_forward_hooks_see_and_change_what_goes_through() -> None:
    net = nn.Linear(2, 2)
    log: list[Any] = []
    handles = [
        net.register_forward_pre_hook(lambda module, args: (args[0] * 0,)),
        net.register_forward_hook(lambda module, args, output: log.append(args[0].sum().item())),
        net.register_forward_hook(lambda module, args, output: output + 1),
        net.register_forward_hook(lambda module, args, output: log.append("first"), prepend=True),
    ]
    assert torch.equal(net(torch.ones(1, 2)), net.bias.reshape(1, 2) + 1)
    assert log == ["first", 0.0]
    for handle in handles:
        handle.remove()
    log.clear()
    net(torch.ones(1, 2))
    assert log == []


def test_forward_hooks_can_take_keywords_and_are_called_in_spite_of_errors() -> None:
    class Scaled(Module):
        def forward(self, x: Any, *, by: float = 1.0) -> Any:
            if by < 0:
                raise ValueError("negative")
            return x * by

    net = Scaled()
    log: list[Any] = []
    net.register_forward_pre_hook(lambda module, args, kwargs: (args, {"by": kwargs["by"] * 2}), with_kwargs=True)
    net.register_forward_hook(lambda m, args, kwargs, out: log.append(kwargs), with_kwargs=True, always_call=True)
    assert net(torch.ones(1), by=3.0).item() == 6
    with pytest.raises(ValueError, match=r"^negative$"):
        net(torch.ones(1), by=-1.0)
    assert log == [{"by": 6.0}, {"by": -2.0}]


def test_backward_hooks_see_and_change_gradients() -> None:
    net = nn.Linear(2, 1, bias=False)
    seen: list[Any] = []
    net.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 2,))
    net.register_full_backward_hook(lambda module, grad_in, grad_out: seen.append((grad_in[0].clone(), grad_out[0])))
    net.register_full_backward_hook(lambda module, grad_in, grad_out: (grad_in[0] * 10,))
    x = torch.ones(3, 2, requires_grad=True)
    net(x).sum().backward()
    weight = net.weight.detach()
    assert torch.equal(seen[0][0], (weight * 2).expand(3, 2))
    assert torch.equal(seen[0][1], torch.full((3, 1), 2.0))
    assert x.grad is not None
    assert torch.equal(x.grad, (weight * 20).expand(3, 2))
    assert torch.equal(net.weight.grad, torch.full((1, 2), 6.0))


def test_backward_hooks_fire_when_no_input_requires_grad() -> None:
    net = nn.Linear(2, 1)
    seen: list[Any] = []
    net.register_full_backward_hook(lambda module, grad_in, grad_out: seen.append((grad_in, grad_out[0].item())))
    net(torch.ones(1, 2)).sum().backward()
    assert seen == [((None,), 1.0)]


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.Linear(2, 3), "Linear(in_features=2, out_features=3, bias=True)"),
        (nn.ReLU(), "ReLU()"),
        (nn.Sequential(), "Sequential()"),
        (nn.Sequential(OrderedDict(a=nn.ReLU())), "Sequential(\n  (a): ReLU()\n)"),
        (
            nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Linear(1, 1)]),
            "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Linear(in_features=1, out_features=1, bias=True)\n)",
        ),
        (
            nn.Sequential(nn.ModuleDict({"x": nn.Dropout(0.1)})),
            "Sequential(\n  (0): ModuleDict(\n    (x): Dropout(p=0.1, inplace=False)\n  )\n)",
        ),
        (
            nn.ParameterList([torch.ones(2, 3)]),
            "ParameterList(  (0): Parameter containing: [torch.float32 of size 2x3])",
        ),
    ],
)
def test_modules_print_as_pytorchs(module: Any, expected: str) -> None:
    assert repr(module) == expected
