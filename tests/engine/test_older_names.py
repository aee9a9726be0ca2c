"""Names that scripts of all ages use: older types and methods, settings with one value, what needs no accelerator."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import allgrad as torch


def test_the_older_classes_make_tensors_of_their_type_and_know_them() -> None:
    assert torch.LongTensor([1, 2]).dtype is torch.int64
    assert torch.FloatTensor(2, 3).shape == (2, 3)
    assert torch.ByteTensor().shape == (0,)
    assert isinstance(torch.ones(1), torch.FloatTensor)
    assert not isinstance(torch.ones(1), torch.DoubleTensor)
    assert not isinstance(1.0, torch.FloatTensor)
    assert torch.typename(torch.BoolTensor([True])) == "torch.BoolTensor"
    assert torch.ones(1).type(torch.IntTensor).dtype is torch.int32
    assert torch.ones(1).type("torch.DoubleTensor").dtype is torch.float64
    with pytest.raises(TypeError, match=r"expected LongTensor \(got torch\.FloatTensor\)"):
        torch.LongTensor(torch.ones(1))
    with pytest.raises(ValueError, match=r"invalid type: 'torch\.FooTensor'"):
        torch.ones(1).type("torch.FooTensor")


def test_the_default_type_can_be_set_by_an_older_class() -> None:
    try:
        with pytest.warns(UserWarning, match="set_default_tensor_type"):
            torch.set_default_tensor_type(torch.DoubleTensor)
        assert torch.ones(1).dtype is torch.float64
        with pytest.warns(UserWarning, match="set_default_tensor_type"):
            torch.set_default_tensor_type("torch.FloatTensor")
        assert torch.ones(1).dtype is torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_settings_with_one_value_can_be_asked_for_and_set() -> None:
    torch.set_default_device("cpu")
    assert torch.get_default_device() == torch.device("cpu")
    with pytest.raises(RuntimeError, match="computes on the CPU only"):
        torch.set_default_device("cuda")
    torch.set_float32_matmul_precision("high")
    assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision("highest")
    with pytest.raises(RuntimeError, match="Invalid precision 'low'"):
        torch.set_float32_matmul_precision("low")
    assert torch.set_flush_denormal(True) is False
    torch.set_warn_always(True)
    assert torch.is_warn_always_enabled()
    torch.set_warn_always(False)


@pytest.mark.parametrize("name", ["exp_", "clamp_", "zero_", "fill_", "index_put_", "xlogy_"])
def test_methods_in_place_are_functions_too(name: str) -> None:
    arguments: dict[str, tuple[Any, ...]] = {
        "clamp_": (0.0, 0.5),
        "fill_": (3.0,),
        "index_put_": ((torch.tensor([0]),), torch.tensor(9.0)),
        "xlogy_": (2.0,),
    }
    by_method, by_function = torch.arange(3.0), torch.arange(3.0)
    getattr(by_method, name)(*arguments.get(name, ()))
    assert getattr(torch, name)(by_function, *arguments.get(name, ())) is by_function
    assert torch.equal(by_method, by_function)
    assert getattr(torch, name).__name__ == name


def test_memory_is_described_as_in_pytorch() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    assert [x[1].storage_offset(), x[1, 2].storage_offset(), x.t()[1].storage_offset()] == [3, 5, 1]
    images = torch.ones(1, 2, 3, 4)
    assert images.is_contiguous(memory_format=torch.contiguous_format)
    assert not images.is_contiguous(memory_format=torch.channels_last)
    assert images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2).is_contiguous(memory_format=torch.channels_last)
    assert images.to(memory_format=torch.channels_last).shape == (1, 2, 3, 4)
    assert (x.layout, repr(torch.strided), repr(torch.channels_last)) == (
        torch.strided,
        "torch.strided",
        "torch.channels_last",
    )
    assert x.is_cpu
    assert [x.is_cuda, x.is_quantized, x.is_meta, x.is_pinned(), x.is_shared()] == [False] * 5
    assert (x.get_device(), torch.get_device(x), x.name) == (-1, -1, None)
    assert x.pin_memory() is x
    assert x.to_dense() is x


def test_questions_are_functions_too() -> None:
    x = torch.ones(2, 3)
    assert torch.is_same_size(x, x + 1)
    assert not torch.is_same_size(x, x.t())
    assert torch.is_nonzero(torch.tensor([2]))
    assert torch.is_signed(x)
    assert [torch.is_conj(x), torch.is_neg(x), torch.is_inference(x)] == [False] * 3
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"):
        torch.is_nonzero(x)
    assert torch.typename(1) == "int"


@pytest.mark.parametrize(
    ("shape", "wrap"), [((3, 3), False), ((5, 2), False), ((5, 2), True), ((2, 4), True), ((2, 2, 2), False)]
)
def test_diagonals_are_filled_as_by_numpy(shape: tuple[int, ...], wrap: bool) -> None:
    expected = np.zeros(shape)
    np.fill_diagonal(expected, 5, wrap)
    assert np.array_equal(torch.zeros(shape).fill_diagonal_(5, wrap).numpy(), expected)


def test_a_filled_diagonal_sends_no_gradient_back() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    x.clone().fill_diagonal_(0).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(RuntimeError, match="dimensions must larger than 1"):
        torch.zeros(2).fill_diagonal_(1)
    with pytest.raises(RuntimeError, match="all dimensions of input must be of equal length"):
        torch.zeros(2, 2, 3).fill_diagonal_(1)


def test_older_methods_change_and_make_tensors() -> None:
    x = torch.ones(2, 2)
    assert x.sum_to_size(1, 2).tolist() == [[2, 2]]
    assert x.sum_to_size((2,)).tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="is not expandable to size"):
        x.sum_to_size(3)
    assert x.apply_(lambda value: value + 1).tolist() == [[2, 2], [2, 2]]
    assert x.map_(torch.tensor([1.0, 2.0]), lambda a, b: a * b).tolist() == [[2, 4], [2, 4]]
    assert (x.new(3).shape, x.new([1, 2]).dtype) == ((3,), torch.float32)
    source = torch.zeros(3)
    x.set_(source)
    source[0] = 7
    assert x.tolist() == [7, 0, 0]
    with pytest.raises(RuntimeError, match="has no gradient"):
        torch.ones(1, requires_grad=True).apply_(abs)
    with pytest.raises(RuntimeError, match="Could not set tensor of type"):
        x.set_(torch.zeros(1, dtype=torch.int64))


def test_new_tensors_of_older_functions() -> None:
    assert torch.vander(torch.tensor([1, 2]), increasing=True).tolist() == [[1, 1], [1, 2]]
    assert torch.vander(torch.tensor([1, 2]), 3).tolist() == [[1, 1, 1], [4, 2, 1]]
    memory = bytearray(b"\x01\x02\x03\x04")
    found = torch.frombuffer(memory, dtype=torch.uint8, offset=1, count=2)
    memory[1] = 9
    assert found.tolist() == [9, 3]
    with pytest.raises(ValueError, match="must not be 0"):
        torch.frombuffer(bytearray(), dtype=torch.uint8)
    with pytest.warns(UserWarning, match=r"torch\.range is deprecated"):
        assert torch.range(1, 3).tolist() == [1, 2, 3]
    assert torch.moveaxis(torch.ones(2, 3), 0, 1).shape == (3, 2)


def test_counts_are_drawn_with_their_rates_and_chances() -> None:
    torch.manual_seed(0)
    assert abs(torch.poisson(torch.full((10_000,), 3.0)).mean().item() - 3) < 0.1
    assert abs(torch.binomial(torch.full((10_000,), 10.0), torch.tensor(0.3)).mean().item() - 3) < 0.1
    with pytest.raises(RuntimeError, match="invalid Poisson rate"):
        torch.poisson(torch.tensor([-1.0]))
    with pytest.raises(ValueError, match="floating tensors of one type"):
        torch.binomial(torch.tensor([1]), torch.tensor([0.5]))


def test_a_forked_generator_leaves_the_stream_where_it_was() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with torch.random.fork_rng():
        torch.rand(5)
    assert torch.equal(torch.rand(2), expected)


def test_mixed_precision_is_accepted_and_keeps_types() -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    before = model.weight.detach().clone()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(torch.ones(2)).sum()
    assert loss.dtype is torch.float32
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(model.weight, before - 0.1)
    assert (scaler.state_dict(), scaler.get_scale(), scaler.is_enabled()) == ({}, 1.0, False)
    assert torch.autocast("cpu")(lambda: 3)() == 3
    with pytest.warns(UserWarning, match="device_type of 'cuda'"):
        torch.autocast("cuda")
    assert torch.cuda.amp is torch.amp


def test_compilation_is_accepted_and_changes_nothing() -> None:
    model = torch.nn.Linear(1, 1)
    assert torch.compile(model, mode="default") is model
    assert torch.compile(dynamic=True)(model) is model
    assert torch.jit.script(model) is model
    assert torch.jit.trace(model, torch.ones(1)) is model
    assert torch.compiler.disable(abs) is abs
    assert [torch.jit.is_scripting(), torch.jit.is_tracing(), torch.compiler.is_compiling()] == [False] * 3
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        torch.jit.trace(model, torch.ones(3))


@pytest.mark.parametrize("name", ["cudnn", "cuda", "mps", "mkl", "mkldnn", "openmp"])
def test_backends_can_be_imported_and_are_not_there(name: str) -> None:
    backend = importlib.import_module(f"allgrad.backends.{name}")
    assert getattr(torch.backends, name) is backend
    assert not getattr(backend, "is_available", backend.__dict__.get("is_built"))()


def test_switches_of_backends_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", True)
    with torch.backends.cudnn.flags(enabled=False):
        assert not torch.backends.cudnn.is_available()
    assert torch.version.cuda is None
    assert torch.version.__version__ == torch.__version__


def test_questions_about_accelerators_have_answers() -> None:
    assert torch.cuda.max_memory_allocated() == 0
    assert not torch.cuda.is_initialized()
    assert not torch.cuda.is_bf16_supported()
    for question in (torch.cuda.current_device, torch.cuda.get_device_name, torch.cuda.get_device_properties):
        with pytest.raises(AssertionError, match="computes on the CPU only"):
            question()


def test_pytorchs_paths_of_modules_lead_to_ours() -> None:
    assert torch.nn.parameter.Parameter is torch.nn.Parameter
    assert torch.nn.modules.Linear is torch.nn.Linear
    assert torch.nn.modules.module.Module is torch.nn.Module
