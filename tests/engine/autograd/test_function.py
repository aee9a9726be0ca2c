"""Custom functions: what the context keeps, how gradients come and go, what is refused, and that nothing leaks."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import allgrad as torch
from allgrad import Tensor
from allgrad.autograd.function import once_differentiable


class Function(torch.autograd.Function):
    """The one under test: tests subclass it, so that mypy sees typed methods."""


class Exp(Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        result: Tensor = g * y
        return result


class Square(Function):
    """Saves its input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        result: Tensor = g * 2 * x
        return result


class Both(Function):
    """Two outputs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Any:
        return x * 2, x * 3

    @staticmethod
    def backward(ctx: Any, g: Tensor, h: Tensor) -> Tensor:
        return g * 2 + h * 3


def scalar(value: float) -> Tensor:
    return torch.tensor(value, requires_grad=True)


def gradient(t: Tensor) -> Any:
    assert t.grad is not None
    return t.grad.tolist()


def returning(value: Any) -> Any:
    """A function of one input whose backward returns *value*, or what it makes of the gradient."""

    class Returns(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            return value(g) if callable(value) else value

    return Returns


def test_the_context_carries_tensors_and_attributes() -> None:
    class Scaled(Function):
        @staticmethod
        def forward(ctx: Any, a: Tensor, b: Tensor, factor: float, unused: None) -> Tensor:
            ctx.factor = factor
            ctx.save_for_backward(a, None, b)
            return a * b * factor

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            a, nothing, b = ctx.saved_tensors
            assert nothing is None
            assert ctx.needs_input_grad == (True, True, False, False)
            return g * b * ctx.factor, g * a * ctx.factor, None, None

    a, b = scalar(2.0), scalar(3.0)
    y = Scaled.apply(a, b, 5.0, None)
    assert str(y) == "tensor(30., grad_fn=<ScaledBackward>)"
    y.backward()
    assert (gradient(a), gradient(b)) == (15.0, 10.0)


@pytest.mark.parametrize("function", [Exp, Square])
def test_saved_inputs_and_outputs_can_be_differentiated_again(function: Any) -> None:
    x = scalar(0.5)
    reference = x.exp() if function is Exp else x * x
    ours, theirs = function.apply(x), reference
    for _ in range(3):
        (ours,) = torch.autograd.grad(ours, x, create_graph=True, materialize_grads=True)
        (theirs,) = torch.autograd.grad(theirs, x, create_graph=True, materialize_grads=True)
        assert ours.item() == pytest.approx(theirs.item())
        if not ours.requires_grad:
            break


def test_a_saved_output_changed_in_place_is_noticed() -> None:
    y = Exp.apply(scalar(0.0))
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation: the result.*ExpBackward"):
        y.backward()


def test_a_saved_input_changed_in_place_is_noticed() -> None:
    x = scalar(1.0) * 1
    y = Square.apply(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_second_backward_is_refused_when_tensors_were_saved() -> None:
    y = Exp.apply(scalar(0.0))
    y.backward()
    with pytest.raises(RuntimeError, match=r"second time.*ExpBackward"):
        y.backward()


def test_outputs_share_their_node_and_missing_gradients_are_zeros() -> None:
    x = scalar(2.0)
    y, z = Both.apply(x)
    assert y.grad_fn is z.grad_fn
    assert (y.output_nr, z.output_nr) == (0, 1)
    z.backward()
    assert gradient(x) == 3.0


@pytest.mark.parametrize("first", [0, 1])
def test_gradients_of_all_outputs_arrive_together(first: int) -> None:
    x = scalar(2.0)
    outputs = Both.apply(x)
    (outputs[first] * 10 + outputs[1 - first]).backward()
    assert gradient(x) == (23.0 if first == 0 else 32.0)


def test_missing_gradients_have_the_shape_and_type_of_their_outputs() -> None:
    seen: list[Any] = []

    class Mixed(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Any:
            return x * 2, x.double().reshape(2, 1)

        @staticmethod
        def backward(ctx: Any, g: Tensor, h: Tensor) -> Tensor:
            seen.append((tuple(h.shape), h.dtype))
            return g * 2

    y, _ = Mixed.apply(torch.ones(2, requires_grad=True))
    y.sum().backward()
    assert seen == [((2, 1), torch.float64)]


def test_missing_gradients_can_stay_none() -> None:
    class Sparse(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Any:
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: Any, g: Tensor | None, h: Tensor) -> Tensor:
            assert g is None
            return h * 3

    x = scalar(2.0)
    Sparse.apply(x)[1].backward()
    assert gradient(x) == 3.0


def test_an_input_may_be_changed_in_place_when_marked_dirty() -> None:
    class AddOne(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            x.add_(1)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g * 10

    a = torch.ones(2, requires_grad=True)
    b = a * 2
    c = AddOne.apply(b)
    c.sum().backward()
    assert c is b
    assert (b.tolist(), gradient(a)) == ([3.0, 3.0], [20.0, 20.0])
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        AddOne.apply(a)


def test_an_output_marked_non_differentiable_does_not_require_grad() -> None:
    class WithMask(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Any:
            constant, mask = x * 3, x > 0
            ctx.mark_non_differentiable(constant)
            return x * 2, constant, mask

        @staticmethod
        def backward(ctx: Any, g: Tensor, h: Tensor, m: Tensor) -> Tensor:
            assert h.tolist() == [0.0, 0.0]
            return g * 2

    x = torch.ones(2, requires_grad=True)
    y, constant, mask = WithMask.apply(x)
    assert [t.requires_grad for t in (y, constant, mask)] == [True, False, False]
    y.sum().backward()
    assert gradient(x) == [2.0, 2.0]


def test_the_context_can_be_set_up_apart_from_the_forward() -> None:
    class Cube(Function):
        @staticmethod
        def forward(x: Tensor, power: int) -> Tensor:
            result: Tensor = x**power
            return result

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
            assert output.item() == 8.0
            ctx.save_for_backward(inputs[0])
            ctx.power = inputs[1]

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            (x,) = ctx.saved_tensors
            return g * ctx.power * x ** (ctx.power - 1), None

    x = scalar(2.0)
    Cube.apply(x, 3).backward()
    assert gradient(x) == 12.0


def test_once_differentiable_refuses_a_second_derivative() -> None:
    class Once(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g * 2

    x = scalar(3.0)
    (g,) = torch.autograd.grad(Once.apply(x) * x, x, create_graph=True)
    assert g.item() == 3.0 * 2 + 9.0
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.backward()


def test_no_gradient_may_be_returned() -> None:
    x = torch.ones(2, requires_grad=True)
    returning(None).apply(x).sum().backward()
    assert x.grad is None


def test_a_gradient_of_another_type_is_cast_and_a_broadcast_one_summed() -> None:
    x = torch.ones(2, requires_grad=True)
    returning(lambda g: g.double()).apply(x).sum().backward()
    returning(torch.ones(3, 2)).apply(x).sum().backward()
    assert x.grad is not None
    assert (x.grad.tolist(), x.grad.dtype) == ([4.0, 4.0], torch.float32)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ((torch.ones(2), torch.ones(2)), r"incorrect number of gradients \(expected 1, got 2\)"),
        (torch.ones(3), r"invalid gradient at index 0 - got \[3\] but expected shape compatible with \[2\]"),
        (torch.ones(()), r"got \[\] but expected shape compatible with \[2\]"),
        (3.0, "neither a Tensor nor None but float"),
    ],
)
def test_a_wrong_gradient_is_refused(value: Any, complaint: str) -> None:
    with pytest.raises(RuntimeError, match=complaint):
        returning(value).apply(torch.ones(2, requires_grad=True)).sum().backward()


def test_only_tensors_can_be_saved() -> None:
    class SavesNumber(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x, 3)
            return x

    with pytest.raises(TypeError, match="argument 1 is of type int: set it as an attribute of ctx"):
        SavesNumber.apply(torch.ones(2, requires_grad=True))


def test_what_is_not_written_is_named() -> None:
    class Nothing(Function):
        pass

    class Forward(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 2

    with pytest.raises(NotImplementedError, match="implement the forward function"):
        Nothing.apply(torch.ones(2))
    with pytest.raises(NotImplementedError, match="implement the backward function"):
        Forward.apply(scalar(1.0)).backward()


def test_an_input_returned_as_it_is_becomes_a_new_tensor_over_its_memory() -> None:
    class Same(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g * 7

    x = scalar(3.0)
    y = Same.apply(x)
    y.backward()
    assert y is not x
    assert y.data_ptr() == x.data_ptr()
    assert gradient(x) == 7.0


def test_outputs_keep_their_structure() -> None:
    class Structured(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Any:
            return x * 2, None, "text"

        @staticmethod
        def backward(ctx: Any, g: Tensor, *rest: Any) -> Tensor:
            return g * 2

    x = scalar(1.0)
    y, nothing, text = Structured.apply(x)
    y.backward()
    assert (nothing, text, gradient(x)) == (None, "text", 2.0)
    assert isinstance(returning(None).apply(x), Tensor)


def test_nothing_is_recorded_without_need() -> None:
    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert Exp.apply(x).grad_fn is None
    assert Exp.apply(torch.ones(2)).grad_fn is None


def test_the_forward_is_not_recorded_and_the_backward_only_under_create_graph() -> None:
    modes: list[bool] = []

    class Modes(Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            modes.append(torch.is_grad_enabled())
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            modes.append(torch.is_grad_enabled())
            return g * 2

    x = scalar(1.0)
    Modes.apply(x).backward()
    torch.autograd.grad(Modes.apply(x), x, create_graph=True)
    assert modes == [False, False, False, True]


@pytest.mark.parametrize("function", [Exp, Square, Both])
def test_a_dropped_graph_is_freed_without_the_garbage_collector(function: Any) -> None:
    gc.disable()
    try:
        x = scalar(1.0)
        made = function.apply(x)
        outputs = made if isinstance(made, tuple) else (made,)
        node = weakref.ref(outputs[0].grad_fn)
        del made, outputs
        assert node() is None
    finally:
        gc.enable()


class OnceSquared(torch.autograd.Function):
    """Its backward cannot be differentiated again: only its jvp serves forward mode."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x * x

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * g

    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * t


class Scaled(torch.autograd.Function):
    """Of two inputs and a number, with two outputs, in complex numbers too."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, factor: float) -> tuple[Tensor, Tensor]:
        ctx.save_for_forward(a, b)
        ctx.factor = factor
        return a * b, factor * a

    @staticmethod
    def jvp(ctx: Any, t: Tensor, u: Tensor, none: None) -> tuple[Tensor, Tensor]:
        assert none is None
        a, b = ctx.saved_tensors
        return t * b + a * u, ctx.factor * t


def test_a_function_may_state_its_own_forward_derivative() -> None:
    x = torch.tensor([1.0, 2.0])
    value, tangent = torch.func.jvp(lambda x: OnceSquared.apply(x).sin(), (x,), (torch.ones(2),))
    assert torch.allclose(value, (x * x).sin())
    assert torch.allclose(tangent, (x * x).cos() * 2 * x)
    assert torch.func.jacfwd(torch.func.jacfwd(OnceSquared.apply))(x)[0, 0, 0].item() == 2.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_forward_derivatives_of_several_inputs_and_outputs_agree_with_those_of_operations(dtype: torch.dtype) -> None:
    points = (torch.randn(3, dtype=dtype), torch.randn(3, dtype=dtype))
    along = (torch.randn(3, dtype=dtype), torch.randn(3, dtype=dtype))
    stated = torch.func.jvp(lambda a, b: Scaled.apply(a, b, 3.0), points, along)
    known = torch.func.jvp(lambda a, b: (a * b, 3.0 * a), points, along)
    for (one, other), (p, q) in zip(stated, known, strict=True):
        assert torch.allclose(one, p)
        assert torch.allclose(other, q)


def test_a_function_works_under_vmap_without_a_rule_and_is_never_instantiated() -> None:
    assert torch.vmap(OnceSquared.apply)(torch.full((3, 2), 2.0)).tolist() == [[4.0, 4.0]] * 3
    with pytest.raises(RuntimeError, match=r"Methods on autograd functions are all static, so call OnceSquared\.apply"):
        OnceSquared()
