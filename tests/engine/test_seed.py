"""Every example of the document this project came from, with the results and printed forms it states."""

from __future__ import annotations

import pytest

import allgrad as torch


def test_a_result_prints_its_values_and_the_operation_that_made_it() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    y = x**2
    z = 2 * y + 3
    assert str(z) == "tensor([11.], grad_fn=<AddBackward0>)"
    z.backward()
    assert str(x.grad) == "tensor([8.])"


def test_the_graph_records_each_operation_by_its_name() -> None:
    x = torch.tensor([3.0], requires_grad=True)
    a = x + 2
    b = a * 3
    c = b**2
    loss = c.mean()
    names = [t.grad_fn.name() for t in (a, b, c, loss)]
    assert names == ["AddBackward0", "MulBackward0", "PowBackward0", "MeanBackward0"]
    assert (a.item(), b.item(), c.item(), loss.item()) == (5.0, 15.0, 225.0, 225.0)
    loss.backward()
    assert x.grad is not None
    assert x.grad.item() == 90.0


@pytest.mark.parametrize(("start", "slope"), [(1.5, 3.0), (-2.0, 12.0)])
def test_a_condition_picks_the_graph(start: float, slope: float) -> None:
    x = torch.tensor([start], requires_grad=True)
    y = x**2 if x.item() > 0 else x**3
    y.backward()
    assert x.grad is not None
    assert x.grad.item() == slope


def test_a_loop_repeats_an_operation() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(5):
        y = y * 2
    y.backward()
    assert str(x.grad) == "tensor([32.])"


def test_gradients_accumulate_until_they_are_cleared() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    (x**2).backward()
    assert str(x.grad) == "tensor([2.])"
    (x**3).backward()
    assert str(x.grad) == "tensor([5.])"
    assert x.grad is not None
    x.grad.zero_()
    assert str(x.grad) == "tensor([0.])"
    x.grad = None
    assert x.grad is None


def test_two_losses_add_their_gradients() -> None:
    x = torch.tensor([3.0], requires_grad=True)
    shared = x * 2
    loss1, loss2 = shared.sum(), (shared**2).sum()
    loss1.backward(retain_graph=True)
    loss2.backward()
    assert str(x.grad) == "tensor([26.])"


def test_no_grad_records_nothing() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    with torch.no_grad():
        y = x**2
        z = y + 3
    assert y.grad_fn is None
    assert z.grad_fn is None


def test_detach_cuts_the_graph_and_shares_the_memory() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    y = x**2
    z = y.detach()
    assert y.requires_grad
    assert not z.requires_grad
    assert z.data_ptr() == y.data_ptr()


def test_retain_graph_allows_a_second_backward_and_its_absence_is_explained() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    y = x**2
    y.backward(retain_graph=True)
    assert str(x.grad) == "tensor([4.])"
    y.backward()
    assert str(x.grad) == "tensor([8.])"
    with pytest.raises(
        RuntimeError, match=r"Trying to backward through the graph a second time.*made by pow\(\) at.*test_seed.py"
    ):
        y.backward()


def test_create_graph_gives_second_derivatives() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    y = x**3
    first = torch.autograd.grad(y, x, create_graph=True)[0]
    assert str(first.detach()) == "tensor([12.])"
    assert str(torch.autograd.grad(first, x)[0]) == "tensor([12.])"


def test_grad_touches_only_what_it_is_asked_for() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    y = (x * w).sum()
    assert str(torch.autograd.grad(y, x)[0]) == "tensor([3., 4.])"
    assert w.grad is None


def test_the_jacobian_example_multiplies_shapes_that_cannot_be_multiplied_and_the_error_says_so() -> None:
    x = torch.tensor([[1.0, 2.0]], requires_grad=True)
    y = torch.tensor([[3.0, 4.0, 5.0]])
    with pytest.raises(RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied \(1x2 and 3x1\)"):
        x @ y.T
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        torch.autograd.functional.jacobian(lambda x: x @ y.T, x)


def test_a_jacobian_of_shapes_that_fit() -> None:
    x = torch.tensor([[1.0, 2.0]])
    y = torch.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    found = torch.autograd.functional.jacobian(lambda x: x @ y.T, x)
    assert found.shape == (1, 3, 1, 2)
    assert torch.equal(found.reshape(3, 2), y)


def test_the_linear_regression_finds_its_line() -> None:
    torch.manual_seed(0)
    x = torch.linspace(-3, 3, 50).reshape(-1, 1)
    y = 2 * x + 1 + torch.randn(x.size()) * 0.3
    w = torch.randn(1, 1, requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    for _ in range(100):
        loss = ((x @ w + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= 0.01 * w.grad
            b -= 0.01 * b.grad
        w.grad.zero_()
        b.grad.zero_()
    assert w.item() == pytest.approx(2.0, abs=0.1)
    assert b.item() == pytest.approx(1.0, abs=0.3)


def test_a_custom_function_computes_its_own_gradient() -> None:
    class MyReLU(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input):  # type: ignore[no-untyped-def]
            ctx.save_for_backward(input)
            return input.clamp(min=0)

        @staticmethod
        def backward(ctx, grad_output):  # type: ignore[no-untyped-def]
            (input,) = ctx.saved_tensors
            grad_input = grad_output.clone()
            grad_input[input < 0] = 0
            return grad_input

    x = torch.tensor([-1.0, 2.0, -3.0, 4.0], requires_grad=True)
    y = MyReLU.apply(x)
    assert str(y) == "tensor([0., 2., 0., 4.], grad_fn=<MyReLUBackward>)"
    y.sum().backward()
    assert str(x.grad) == "tensor([0., 1., 0., 1.])"


def test_changing_a_leaf_in_place_is_refused_and_allowed_under_no_grad() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    y = x**2
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        x += 1
    assert str(y.detach()) == "tensor([1.])"
    with torch.no_grad():
        x += 1
    assert x.item() == 2.0


def test_changing_a_saved_value_in_place_is_noticed_and_both_lines_are_named() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    a = x * 1
    y = a**2
    a += 1
    pattern = r"modified by an inplace operation.*saved for pow\(\) at .*y = a\*\*2.*overwritten at .*a \+= 1"
    with pytest.raises(RuntimeError, match=pattern):
        y.backward()


def test_a_leaf_keeps_its_gradient_and_a_result_does_not_unless_asked() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    y = x**2
    z = y + 3
    assert (x.is_leaf, y.is_leaf) == (True, False)
    z.backward(retain_graph=True)
    assert str(x.grad) == "tensor([2.])"
    with pytest.warns(UserWarning, match="not a leaf Tensor"):
        assert y.grad is None
    y.retain_grad()
    z.backward()
    assert str(y.grad) == "tensor([1.])"


def test_the_first_example_trains_the_two_layers_that_were_written_by_hand() -> None:
    torch.manual_seed(1)
    x, y = torch.randn(3, 8), torch.randn(2, 8)
    w1, b1 = torch.randn(4, 3, requires_grad=True), torch.zeros(4, 1, requires_grad=True)
    w2, b2 = torch.randn(2, 4, requires_grad=True), torch.zeros(2, 1, requires_grad=True)
    z1 = w1 @ x + b1
    h1 = torch.relu(z1)
    z2 = w2 @ h1 + b2
    h2 = torch.relu(z2)
    loss = ((h2 - y) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        d_h2 = 2 * (h2 - y) / y.numel()
        d_z2 = d_h2 * (z2 > 0)
        d_z1 = (w2.T @ d_z2) * (z1 > 0)
    by_hand = [(w2, d_z2 @ h1.T), (b2, d_z2.sum(1, keepdim=True)), (w1, d_z1 @ x.T), (b1, d_z1.sum(1, keepdim=True))]
    for parameter, expected in by_hand:
        assert torch.allclose(parameter.grad, expected, atol=1e-6)
