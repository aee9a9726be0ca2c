"""Schedules: their rates step by step, their state, and PyTorch's numbers where it is installed."""

from __future__ import annotations

import warnings
from typing import Any, cast

import numpy as np
import pytest

import allgrad
from allgrad import nn, optim
from allgrad.optim import lr_scheduler

EPOCHS = 25
CASES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 4, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [3, 3, 10], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("LinearLR", {"start_factor": 0.25, "total_iters": 7}),
    ("CosineAnnealingLR", {"T_max": 8, "eta_min": 0.01}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (epoch + 1)}),
    ("ConstantLR", {"factor": 0.5, "total_iters": 4}),
    ("PolynomialLR", {"total_iters": 12, "power": 2.0}),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: 0.9 + 0.01 * epoch}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": [0.1, 0.3], "step_size_up": 3, "step_size_down": 5}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "mode": "exp_range", "gamma": 0.9}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3, "scale_fn": lambda x: 1 / x}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40}),
    ("OneCycleLR", {"max_lr": 0.5, "epochs": 5, "steps_per_epoch": 8, "anneal_strategy": "linear", "pct_start": 0.4}),
]
# The others begin anew from what they keep in the groups, or differ in PyTorch itself when resumed by epoch.
RESUMABLE = [case for case in CASES if case[0] not in ("OneCycleLR", "CosineAnnealingWarmRestarts")]
every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=lambda value: str(value)[:40].replace(" ", ""))


def optimizer_of(library: Any, kind: str = "SGD", **options: Any) -> Any:
    weights = [library.nn.Parameter(library.zeros(1)) for _ in range(2)]
    options = {"momentum": 0.9} if kind == "SGD" else {}
    return getattr(library.optim, kind)([{"params": weights[0]}, {"params": weights[1], "lr": 0.2}], lr=0.1, **options)


def rates(optimizer: Any, scheduler: Any, epochs: int = EPOCHS) -> list[list[float]]:
    """The rates, and the momentum, of every group in every epoch."""
    found = []
    for _ in range(epochs):
        optimizer.step()
        groups = optimizer.param_groups
        found.append([g["lr"] for g in groups] + [g["betas"][0] if "betas" in g else g["momentum"] for g in groups])
        scheduler.step()
        assert scheduler.get_last_lr() == [g["lr"] for g in groups]
    return found


@every_case
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_rates_equal_pytorchs(name: str, options: dict[str, Any], kind: str) -> None:
    torch: Any = pytest.importorskip("torch")
    found = []
    for library in (torch, allgrad):
        optimizer = optimizer_of(library, kind)
        found.append(rates(optimizer, getattr(library.optim.lr_scheduler, name)(optimizer, **options)))
    for theirs, ours in zip(*found, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)


def test_schedules_in_sequence_equal_pytorchs() -> None:
    torch: Any = pytest.importorskip("torch")
    found = []
    for library in (torch, allgrad):
        optimizer = optimizer_of(library)
        kinds = library.optim.lr_scheduler
        warmup = kinds.LinearLR(optimizer, 0.1, total_iters=5)
        parts = [warmup, kinds.CosineAnnealingLR(optimizer, 10), kinds.ExponentialLR(optimizer, 0.9)]
        found.append(rates(optimizer, kinds.SequentialLR(optimizer, parts, [5, 15])))
    for theirs, ours in zip(*found, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9)


METRICS = [1.0, 0.9, 0.91, 0.92, 0.93, 0.5, 0.6, 0.6, 0.6, 0.6, 0.49999, 0.6, 0.6, 0.7, 0.8, -1.0, 2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 2},
        {"patience": 1, "cooldown": 2, "factor": 0.5, "min_lr": 0.03},
        {"mode": "max", "patience": 1, "threshold_mode": "abs", "threshold": 0.3},
        {"mode": "min", "patience": 0, "threshold_mode": "abs", "threshold": 0.05},
        {"mode": "max", "patience": 2, "min_lr": [0.01, 0.1]},
    ],
    ids=str,
)
def test_plateaus_are_found_as_in_pytorch(options: dict[str, Any]) -> None:
    torch: Any = pytest.importorskip("torch")
    found = []
    for library in (torch, allgrad):
        optimizer = optimizer_of(library)
        scheduler = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        seen = []
        for metric in METRICS:
            scheduler.step(library.tensor(metric))
            seen.append(scheduler.get_last_lr())
        found.append(seen)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("ConstantLR", {"factor": 0.5, "total_iters": 2}, [0.5, 0.5, 1, 1, 1]),
        ("PolynomialLR", {"total_iters": 4, "power": 1.0}, [1, 0.75, 0.5, 0.25, 0]),
        ("MultiplicativeLR", {"lr_lambda": lambda epoch: 1 / epoch}, [1, 1, 1 / 2, 1 / 6, 1 / 24]),
        ("CosineAnnealingWarmRestarts", {"T_0": 2}, [1, 0.5, 1, 0.5, 1]),
        ("CyclicLR", {"base_lr": 0, "max_lr": 1, "step_size_up": 2, "cycle_momentum": False}, [0, 0.5, 1, 0.5, 0]),
        ("StepLR", {"step_size": 2, "gamma": 0.1}, [1, 1, 0.1, 0.1, 0.01]),
        ("MultiStepLR", {"milestones": [1, 3], "gamma": 0.5}, [1, 0.5, 0.5, 0.25, 0.25]),
        ("ExponentialLR", {"gamma": 0.5}, [1, 0.5, 0.25, 0.125, 0.0625]),
        ("LinearLR", {"start_factor": 0.5, "total_iters": 2}, [0.5, 0.75, 1, 1, 1]),
        ("CosineAnnealingLR", {"T_max": 2}, [1, 0.5, 0, 0.5, 1]),
        ("LambdaLR", {"lr_lambda": [lambda epoch: 2.0**epoch]}, [1, 2, 4, 8, 16]),
    ],
)
def test_rates_by_hand(name: str, options: dict[str, Any], expected: list[float]) -> None:
    optimizer = optim.SGD([nn.Parameter(allgrad.zeros(1))], lr=1.0)
    scheduler = getattr(lr_scheduler, name)(optimizer, **options)
    assert [row[0] for row in rates(optimizer, scheduler, 5)] == pytest.approx(expected, abs=1e-12)


@every_case
def test_a_saved_schedule_goes_on_as_if_it_had_not_stopped(name: str, options: dict[str, Any]) -> None:
    def make() -> tuple[Any, Any]:
        optimizer = optimizer_of(allgrad)
        return optimizer, getattr(lr_scheduler, name)(optimizer, **options)

    expected = rates(*make())
    first, before = make()
    found = rates(first, before, 10)
    second, after = make()
    second.load_state_dict(first.state_dict())
    after.load_state_dict(before.state_dict())
    assert found + rates(second, after, EPOCHS - 10) == expected


@pytest.mark.parametrize(("name", "options"), RESUMABLE, ids=lambda v: str(v)[:20])
def test_resuming_by_epoch_equals_pytorchs(name: str, options: dict[str, Any]) -> None:
    torch: Any = pytest.importorskip("torch")
    found = []
    for library in (torch, allgrad):
        kinds = library.optim.lr_scheduler
        first = optimizer_of(library)
        rates(first, getattr(kinds, name)(first, **options), 5)
        second = optimizer_of(library)
        second.load_state_dict(first.state_dict())
        found.append(rates(second, getattr(kinds, name)(second, **options, last_epoch=4), 10))
    for theirs, ours in zip(*found, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9)


def test_a_schedule_stepped_before_its_optimizer_warns() -> None:
    scheduler = lr_scheduler.ExponentialLR(optimizer_of(allgrad), 0.9)
    with pytest.warns(UserWarning, match=r"Detected call of `lr_scheduler\.step\(\)` before `optimizer\.step\(\)`"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()
    with pytest.warns(UserWarning, match=r"please use `get_last_lr\(\)`"):
        scheduler.get_lr()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: lr_scheduler.StepLR(cast(Any, 3), 1), TypeError, "int is not an Optimizer"),
        (lambda o: lr_scheduler.StepLR(o, 1, last_epoch=3), KeyError, "'initial_lr' is not specified"),
        (lambda o: lr_scheduler.LambdaLR(o, [lambda e: 1.0]), ValueError, "Expected 2 lr_lambdas, but got 1"),
        (lambda o: lr_scheduler.LinearLR(o, 0), ValueError, "Starting multiplicative factor expected"),
        (lambda o: lr_scheduler.LinearLR(o, end_factor=2), ValueError, "Ending multiplicative factor expected"),
        (lambda o: lr_scheduler.SequentialLR(o, [], []), ValueError, "expects at least one scheduler"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, "least"), ValueError, "mode least is unknown!"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, min_lr=[0]), ValueError, "expected 2 min_lrs, got 1"),
        (lambda o: lr_scheduler.ConstantLR(o, 2), ValueError, "Constant multiplicative factor expected"),
        (lambda o: lr_scheduler.MultiplicativeLR(o, cast(Any, [3, 4])), TypeError, "should be a function, but got int"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 0), ValueError, "Expected positive integer T_0"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 1, 0), ValueError, "Expected integer T_mult >= 1"),
        (lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, mode="up"), ValueError, "mode is invalid and scale_fn is None"),
        (lambda o: lr_scheduler.CyclicLR(o, 0.1, [1.0]), ValueError, "max_lr must have the same length as"),
        (lambda o: lr_scheduler.ChainedScheduler([]), ValueError, "expects at least one scheduler to be chained"),
        (
            lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ReduceLROnPlateau(o)]),
            ValueError,
            "does not support `ReduceLROnPlateau`",
        ),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0), ValueError, "You must define either total_steps OR"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 0), ValueError, "Expected positive integer total_steps, but got 0"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 5, pct_start=2), ValueError, "Expected float between 0 and 1"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0, 5, anneal_strategy="x"), ValueError, "must be one of 'cos'"),
    ],
)
def test_impossible_arguments_raise_pytorchs_errors(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(optimizer_of(allgrad))


def test_a_cycle_cannot_be_stepped_beyond_its_end() -> None:
    optimizer = optimizer_of(allgrad)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 1.0, 10)
    with pytest.raises(ValueError, match=r"Tried to step 11 times\. The specified number of total steps is 10"):
        rates(optimizer, scheduler, 11)


def test_chained_schedules_equal_pytorchs() -> None:
    torch: Any = pytest.importorskip("torch")
    found = []
    for library in (torch, allgrad):
        optimizer = optimizer_of(library)
        kinds = library.optim.lr_scheduler
        parts = [kinds.ConstantLR(optimizer, 0.1, 4), kinds.ExponentialLR(optimizer, 0.9), kinds.StepLR(optimizer, 3)]
        found.append(rates(optimizer, kinds.ChainedScheduler(parts)))
    for theirs, ours in zip(*found, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)


def test_chained_schedules_are_saved_with_their_parts() -> None:
    def make() -> tuple[Any, Any]:
        optimizer = optimizer_of(allgrad)
        parts = [lr_scheduler.ConstantLR(optimizer, 0.1, 4), lr_scheduler.ExponentialLR(optimizer, 0.9)]
        return optimizer, lr_scheduler.ChainedScheduler(parts)

    expected = rates(*make())
    (first, before), (second, after) = make(), make()
    found = rates(first, before, 10)
    second.load_state_dict(first.state_dict())
    after.load_state_dict(before.state_dict())
    assert found + rates(second, after, EPOCHS - 10) == expected


class Halving:
    """A rule with a state of its own."""

    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, epoch: int) -> float:
        return self.by**epoch


@pytest.mark.parametrize("name", ["LambdaLR", "MultiplicativeLR"])
def test_rules_that_are_objects_are_saved_and_functions_are_not(name: str) -> None:
    optimizer = optimizer_of(allgrad)
    kind = getattr(lr_scheduler, name)
    state = kind(optimizer, [Halving(0.5), lambda epoch: 1.0]).state_dict()
    assert state["lr_lambdas"] == [{"by": 0.5}, None]
    other = kind(optimizer, [Halving(0.1), lambda epoch: 1.0])
    other.load_state_dict(state)
    assert other.lr_lambdas[0].by == 0.5


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("StepLR", {"step_size": 4, "gamma": 0.5}),
        ("MultiStepLR", {"milestones": [3, 3, 7], "gamma": 0.5}),
        ("ExponentialLR", {"gamma": 0.9}),
        ("LinearLR", {"start_factor": 0.25, "total_iters": 7}),
        ("ConstantLR", {"factor": 0.25, "total_iters": 7}),
        ("PolynomialLR", {"power": 2.0, "total_iters": 9}),
        ("CosineAnnealingLR", {"T_max": 8, "eta_min": 0.01}),
        ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (epoch + 1)}),
    ],
)
def test_a_jump_to_an_epoch_warns_and_gives_what_steps_would(name: str, options: dict[str, Any]) -> None:
    optimizer = optimizer_of(allgrad)
    expected = rates(optimizer, getattr(lr_scheduler, name)(optimizer, **options), 9)[8]
    optimizer = optimizer_of(allgrad)
    scheduler = getattr(lr_scheduler, name)(optimizer, **options)
    optimizer.step()
    with pytest.warns(UserWarning, match="The epoch parameter in `scheduler.step"):
        scheduler.step(8)
    assert scheduler.get_last_lr() == pytest.approx(expected[:2])


@pytest.mark.parametrize("options", [{"T_0": 3}, {"T_0": 2, "T_mult": 2, "eta_min": 0.01}], ids=str)
def test_restarts_by_a_fraction_of_an_epoch_equal_pytorchs(options: dict[str, int]) -> None:
    torch: Any = pytest.importorskip("torch")
    found = []
    for library in (torch, allgrad):
        scheduler = library.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer_of(library), **options)
        seen = []
        for batch in range(40):
            scheduler.step(batch / 4)
            seen.append(scheduler.get_last_lr())
        found.append(seen)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
