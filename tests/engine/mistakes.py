"""Programs with one typical mistake each; run as a script it prints what each is told, which is ``mistakes.txt``."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import allgrad as torch
from allgrad import Tensor, nn
from allgrad.nn import functional as F

MISTAKES: list[Callable[[], Any]] = []


def mistake(program: Callable[[], Any]) -> Callable[[], Any]:
    MISTAKES.append(program)
    return program


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.encoder(x)
        return y


class Gate(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        h = torch.sigmoid(x)
        h += 1
        return h


@mistake
def layers_that_do_not_fit() -> None:
    Net()(torch.ones(5, 4))


@mistake
def a_second_backward() -> None:
    w = torch.ones(3, requires_grad=True)
    loss = (w * w).sum()
    loss.backward()
    loss.backward()


@mistake
def a_convolution_outside_of_the_loop() -> None:
    image = torch.ones(1, 1, 5, 5)
    kernel = torch.ones(1, 1, 3, 3, requires_grad=True)
    scale = torch.ones(1, requires_grad=True)
    features = F.conv2d(image, kernel).relu()
    for _ in range(2):
        loss = (features * scale).sum()
        loss.backward()


@mistake
def a_hidden_state_carried_over_steps() -> None:
    cell = nn.Linear(2, 2)
    state = torch.zeros(1, 2)
    for _ in range(2):
        state = torch.tanh(cell(state))
        state.sum().backward()


@mistake
def a_saved_value_changed_in_place() -> None:
    x = torch.ones(3, requires_grad=True)
    y = torch.exp(x)
    y += 1
    y.sum().backward()


@mistake
def a_saved_value_changed_inside_a_module() -> None:
    gate = nn.Sequential(nn.Linear(2, 2), Gate())
    gate(torch.ones(1, 2)).sum().backward()


@mistake
def a_saved_weight_changed_before_backward() -> None:
    layer = nn.Linear(2, 2)
    loss = layer(torch.ones(1, 2, requires_grad=True)).sum()
    with torch.no_grad():
        layer.weight.mul_(0.5)
    loss.backward()


@mistake
def matrices_that_do_not_fit() -> None:
    torch.ones(2, 3) @ torch.ones(2, 3)


@mistake
def mm_of_vectors() -> None:
    torch.mm(torch.ones(3), torch.ones(3, 2))


@mistake
def bmm_of_other_batches() -> None:
    torch.bmm(torch.ones(2, 3, 4), torch.ones(3, 4, 5))


@mistake
def linear_with_other_features() -> None:
    nn.Linear(8, 2)(torch.ones(3, 9))


@mistake
def conv2d_with_other_channels() -> None:
    nn.Conv2d(3, 6, 3)(torch.ones(1, 1, 8, 8))


@mistake
def conv2d_of_a_small_image() -> None:
    nn.Conv2d(1, 2, 5)(torch.ones(1, 1, 3, 3))


@mistake
def shapes_that_do_not_broadcast() -> None:
    torch.ones(4, 3) + torch.ones(4)


@mistake
def cat_of_other_shapes() -> None:
    torch.cat([torch.ones(2, 3), torch.ones(2, 4)])


@mistake
def stack_of_other_shapes() -> None:
    torch.stack([torch.ones(2), torch.ones(3)])


@mistake
def a_view_of_another_size() -> None:
    torch.ones(2, 3).view(4, 2)


@mistake
def a_view_of_a_transposed_matrix() -> None:
    torch.ones(2, 3).t().view(6)


@mistake
def a_dimension_that_is_not_there() -> None:
    torch.ones(2, 3).sum(2)


@mistake
def an_index_out_of_range() -> None:
    torch.ones(3, 2)[5]


@mistake
def too_many_indices() -> None:
    torch.ones(3, 2)[0, 0, 0]


@mistake
def a_mask_of_another_shape() -> None:
    torch.ones(3, 2)[torch.tensor([True, False])]


@mistake
def a_float_index() -> None:
    torch.ones(3)[torch.tensor([0.0, 1.0])]


@mistake
def matrices_of_other_types() -> None:
    torch.ones(2, 2) @ torch.ones(2, 2, dtype=torch.float64)


@mistake
def a_layer_given_doubles() -> None:
    nn.Linear(2, 2)(torch.from_numpy(np.ones((1, 2))))


@mistake
def an_embedding_of_floats() -> None:
    nn.Embedding(5, 2)(torch.tensor([1.0, 2.0]))


@mistake
def an_embedding_beyond_its_table() -> None:
    nn.Embedding(5, 2)(torch.tensor([1, 7]))


@mistake
def gradients_for_integers() -> None:
    torch.tensor([1, 2, 3], requires_grad=True)


@mistake
def backward_of_several_numbers() -> None:
    (torch.ones(3, requires_grad=True) * 2).backward()


@mistake
def backward_of_a_constant() -> None:
    loss = (torch.ones(3) * 2).sum()
    loss.backward()


@mistake
def backward_of_what_no_grad_made() -> None:
    w = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        loss = (w * 2).sum()
    loss.backward()


@mistake
def backward_of_an_argmax() -> None:
    w = torch.ones(2, 3, requires_grad=True)
    w.argmax(1).float().sum().backward()


@mistake
def a_leaf_changed_in_place() -> None:
    w = torch.ones(3, requires_grad=True)
    w -= 0.1


@mistake
def numpy_of_what_requires_grad() -> None:
    (torch.ones(3, requires_grad=True) * 2).numpy()


@mistake
def item_of_several_numbers() -> None:
    torch.ones(3).item()


@mistake
def a_tensor_as_a_condition() -> None:
    if torch.ones(3) > 0:
        pass


@mistake
def cross_entropy_with_other_targets() -> None:
    F.cross_entropy(torch.ones(4, 3), torch.tensor([0, 1, 2]))


@mistake
def cross_entropy_with_a_class_too_many() -> None:
    F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 3]))


@mistake
def cross_entropy_with_float_targets() -> None:
    F.cross_entropy(torch.ones(2, 3), torch.tensor([0.0, 1.0]))


@mistake
def mse_of_other_shapes() -> None:
    F.mse_loss(torch.ones(4, 1), torch.ones(4, 3, 2))


@mistake
def an_unused_parameter() -> None:
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    torch.autograd.grad((a * 2).sum(), [a, b])


@mistake
def a_wrong_state_dict() -> None:
    nn.Linear(2, 2).load_state_dict(nn.Linear(2, 3).state_dict())


@mistake
def an_optimizer_without_parameters() -> None:
    torch.optim.SGD([], lr=0.1)


@mistake
def a_layer_that_is_not_initialised() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1)

    Broken()


@mistake
def an_accelerator() -> None:
    torch.ones(2).to("cuda")


@mistake
def a_backward_of_a_function_with_too_few_gradients() -> None:
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
            return a * b

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g

    Product.apply(torch.ones(1, requires_grad=True), torch.ones(1)).backward()


def told(program: Callable[[], Any]) -> str:
    """What the user of *program* is told: the exception's class and message, without folders."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program()
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is what is looked at
        folder = re.escape(str(Path(__file__).parent)) + "/"
        return f"{type(error).__name__}: {re.sub(folder, '', str(error))}"
    return "nothing"


def page_of(program: Callable[[], Any]) -> str:
    """The mistake in *program* and what is told of it."""
    return f"{program.__name__.replace('_', ' ')}\n    {told(program)}"


if __name__ == "__main__":
    print("\n\n".join(map(page_of, MISTAKES)))
