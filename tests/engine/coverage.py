"""What works of every row of tests/data/operations.tsv, found by running it: ``python -m tests.engine.coverage``.

Writes docs/coverage.md. A derivative counts where it equals finite differences along a random direction in float64, the other
ways to call an operation where they give what the function gives.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import allgrad as torch
from allgrad import Tensor
from allgrad.nn import functional
from allgrad.registry import OPERATIONS, Operation

from .coverage_calls import CALLS, DRAWN

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "coverage.md"
COLUMNS = ("value", "gradient", "second", "forward", "method", "in place", "out")
YES, NO, NONE = "✓", "✗", "–"


OF_WHOLE_NUMBERS = {"nn.functional.one_hot"}  # the list says differentiable, but there is no real input


class Row(NamedTuple):
    """An operation of the list, and which columns PyTorch has for it."""

    name: str
    offered: tuple[bool, ...]


class Call(NamedTuple):
    """A way to call an operation: its function, what is made of it before it is called, and arguments with arrays."""

    function: Callable[..., Any]
    around: Callable[[Callable[..., Any]], Callable[..., Any]]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def _table(name: str) -> dict[str, list[bool]]:
    lines = (ROOT / "tests" / "data" / name).read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")][1:]
    return {row[0]: [cell == "yes" for cell in row[1:]] for row in rows}


def rows() -> list[Row]:
    """The rows of the list, in its order."""
    faces = _table("faces.tsv")
    found = []
    for name, (differentiable, twice, forward) in _table("operations.tsv").items():
        _, method, in_place, out = faces[name]
        differentiable = differentiable and name not in OF_WHOLE_NUMBERS
        found.append(
            Row(
                name,
                (True, differentiable, differentiable and twice, differentiable and forward, method, in_place, out),
            )
        )
    return found


def function_called(name: str) -> Callable[..., Any] | None:
    """The function that users call *name*: of ``nn.functional``, of allgrad or one of its modules, or a method."""
    if name.startswith("nn.functional."):
        return getattr(functional, name.removeprefix("nn.functional."), None)
    place: Any = torch
    for part in name.split("."):
        place = getattr(place, part, None)
    found = place if callable(place) and not isinstance(place, type) else getattr(Tensor, name, None)
    return found if callable(found) else None


def _registered() -> dict[int, Operation]:
    return {id(op.call): op for op in OPERATIONS.values()} | {id(op.declared): op for op in OPERATIONS.values()}


def calls_of(row: Row) -> Iterator[Call]:
    """The calls that *row* is tried on. LookupError where there is no such function, or nothing to call it with."""
    base = row.name.partition("/")[0]
    named, samples = CALLS.get(row.name, ("", None))
    function = named if callable(named) else function_called(named or base)
    if function is None:
        raise LookupError(f"no function {named or base}")
    op = _registered().get(id(function)) or OPERATIONS.get(base.removeprefix("nn.functional."))
    if samples is None:
        if op is None or op.samples is None:
            raise LookupError(f"no samples for {base}")
        samples = op.samples
    for sample in samples(np.random.default_rng(7)):
        yield Call(function, sample.around or (lambda called: called), sample.args, dict(sample.kwargs))


def _tensors(value: Any, found: list[Tensor]) -> Any:
    """*value* with its arrays as tensors, the differentiable ones noted in *found*."""
    if isinstance(value, np.ndarray):
        made = torch.from_numpy(value.copy())
        if value.dtype.kind in "fc":
            found.append(made)
        return made
    return type(value)(_tensors(v, found) for v in value) if type(value) in (list, tuple) else value


def _with(value: Any, tensors: Iterator[Any]) -> Any:
    """*value* with its differentiable arrays replaced by *tensors*, in order."""
    if isinstance(value, np.ndarray):
        return next(tensors) if value.dtype.kind in "fc" else torch.from_numpy(value.copy())
    return type(value)(_with(v, tensors) for v in value) if type(value) in (list, tuple) else value


class Function:
    """A call as a function of its differentiable arguments, with one real number as result."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.inputs: list[Tensor] = []
        _tensors((call.args, list(call.kwargs.values())), self.inputs)
        generator = np.random.default_rng(3)
        self.directions = [_direction(generator, t) for t in self.inputs]

    def outputs(self, *inputs: Tensor) -> list[Tensor]:
        torch.manual_seed(0)
        source = iter(inputs)
        args = _with(self.call.args, source)
        kwargs = {key: _with(value, source) for key, value in self.call.kwargs.items()}
        result = self.call.around(self.call.function)(*args, **kwargs)
        listed = result if isinstance(result, (tuple, list)) else [result]
        return [t for t in listed if isinstance(t, Tensor) and (t.is_floating_point() or t.is_complex())]

    def __call__(self, *inputs: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for output in self.outputs(*inputs):
            for part in (output.real, output.imag) if output.is_complex() else (output,):
                weights = np.cos(np.arange(part.numel())).reshape(tuple(part.shape)) + 0.3
                total = total + (part * torch.from_numpy(np.asarray(weights))).sum()
        return total

    def slope(self, *inputs: Tensor, create_graph: bool = False) -> Tensor:
        """The derivative along the directions, by reverse mode."""
        tracked = inputs if create_graph else [t.detach().requires_grad_() for t in inputs]
        value = self(*tracked)
        if not value.requires_grad:
            return torch.zeros((), dtype=torch.float64)
        found = torch.autograd.grad(value, list(tracked), create_graph=create_graph, allow_unused=True)
        return _along(found, self.directions)

    def curvature(self) -> float:
        """The second derivative along the directions, by reverse mode twice."""
        tracked = [t.detach().requires_grad_() for t in self.inputs]
        first = self.slope(*tracked, create_graph=True)
        if not first.requires_grad:
            return 0.0
        found = torch.autograd.grad(first, tracked, allow_unused=True)
        return _along(found, self.directions).item()

    def precise(self) -> bool:
        """Whether its results are in double precision."""
        return all(t.dtype in (torch.float64, torch.complex128) for t in self.outputs(*self.inputs))

    def numerically(self, function: Callable[..., Tensor], step: float) -> float:
        """The derivative of *function* along the directions, by central differences."""

        def at(h: float) -> float:
            return float(function(*(t + h * u for t, u in zip(self.inputs, self.directions, strict=True))).item())

        return (at(step) - at(-step)) / (2 * step)


def _along(gradients: Sequence[Tensor | None], directions: Sequence[Tensor]) -> Tensor:
    """The derivative along *directions* that *gradients* say, by PyTorch's convention for complex numbers."""
    total = torch.zeros((), dtype=torch.float64)
    for g, u in zip(gradients, directions, strict=True):
        if g is not None:
            total = total + ((g.conj() * u).sum().real if g.is_complex() else (g * u).sum())
    return total


def _direction(generator: np.random.Generator, t: Tensor) -> Tensor:
    drawn = generator.uniform(-1, 1, tuple(t.shape))
    if t.is_complex():
        drawn = drawn + 1j * generator.uniform(-1, 1, tuple(t.shape))
    return torch.from_numpy(np.asarray(drawn)).to(t.dtype)


def _value(call: Call) -> None:
    Function(call).outputs(*Function(call).inputs)


def _gradient(call: Call) -> None:
    f = Function(call)
    assert f.inputs, "nothing to differentiate"
    step, tolerance = (1e-6, 1e-5) if f.precise() else (0.1, 1e-3)  # the conversions are linear: any step will do
    np.testing.assert_allclose(f.slope(*f.inputs).item(), f.numerically(f, step), rtol=tolerance, atol=tolerance / 10)


def _second(call: Call) -> None:
    f = Function(call)
    assert f.inputs, "nothing to differentiate"
    np.testing.assert_allclose(f.curvature(), f.numerically(f.slope, 1e-5), rtol=1e-3, atol=1e-4)


def _forward(call: Call) -> None:
    f = Function(call)
    assert f.inputs, "nothing to differentiate"
    _, tangent = torch.func.jvp(f, tuple(f.inputs), tuple(f.directions))
    np.testing.assert_allclose(tangent.item(), f.slope(*f.inputs).item(), rtol=1e-9, atol=1e-9)


def _arguments(call: Call) -> tuple[list[Any], dict[str, Any]]:
    return [_tensors(a, []) for a in call.args], {key: _tensors(a, []) for key, a in call.kwargs.items()}


def _called_like(call: Call, way: Callable[..., Any]) -> None:
    """Call *way* where *call* calls its function: with the same results, that of the random ones excepted."""
    results = []
    for function in (call.function, way):
        args, kwargs = _arguments(call)
        torch.manual_seed(0)
        results.append(call.around(function)(*args, **kwargs))
    if not call.function.__name__.startswith(("empty", "new_empty")):
        for a, b in zip(*map(_listed, results), strict=True):
            np.testing.assert_array_equal(a, b)


def _listed(result: Any) -> list[Any]:
    if isinstance(result, (tuple, list)):
        return [part for item in result for part in _listed(item)]
    return [result.numpy() if isinstance(result, Tensor) else result]


class Inapplicable(Exception):
    """A sample cannot be called that way: a number where a tensor would be, another shape in place."""


def _bound(args: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
    """The tensor among *args* whose method it is (the first of floating-point numbers), and the other ones."""
    places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
    if not places:
        raise Inapplicable
    place = next((i for i in places if args[i].is_floating_point()), places[0])
    return args[place], args[:place] + args[place + 1 :]


def _method(call: Call, name: str) -> None:
    def method(*args: Any, **kwargs: Any) -> Any:
        self, others = _bound(args)
        member = getattr(self, name)
        return member if isinstance(getattr(Tensor, name), property) else member(*others, **kwargs)

    _called_like(call, method)


def _in_place(call: Call, name: str) -> None:
    def in_place(*args: Any, **kwargs: Any) -> Any:
        self, others = _bound(args)
        expected = call.function(*args, **kwargs)
        if expected.shape != self.shape and name not in RESHAPING:
            raise Inapplicable
        torch.manual_seed(0)
        changed = getattr(self, name + "_")(*others, **kwargs)
        assert changed is self
        return changed.to(expected.dtype)

    if name in DRAWN:  # the call is one in place
        _value(call)
    else:
        _called_like(call, in_place)


RESHAPING = {"t", "transpose", "swapaxes", "swapdims", "squeeze", "unsqueeze", "as_strided"}


def _out(call: Call) -> None:
    def into(*args: Any, **kwargs: Any) -> Any:
        expected = call.function(*args, **kwargs)
        several = isinstance(expected, (tuple, list))
        targets = tuple(torch.empty(0, dtype=e.dtype) for e in (expected if several else [expected]))
        torch.manual_seed(0)
        result = call.function(*args, **kwargs, out=targets if several else targets[0])
        assert all(a is b for a, b in zip(result if several else [result], targets, strict=True))
        return result

    _called_like(call, into)


MEASURES: tuple[Callable[..., None], ...] = (_value, _gradient, _second, _forward, _method, _in_place, _out)


def measured(row: Row) -> dict[str, str]:
    """For each column that PyTorch has for *row*: "" where it works on every sample, or why it does not."""
    base = row.name.partition("/")[0]
    found = {}
    for column, measure, offered in zip(COLUMNS, MEASURES, row.offered, strict=True):
        if offered:
            named = (base,) if measure in (_method, _in_place) else ()
            found[column] = _complaint(row, measure, named)
    return found


def _complaint(row: Row, measure: Callable[..., None], named: tuple[str, ...]) -> str:
    tried = 0
    try:
        for call in calls_of(row):
            if measure in (_gradient, _second, _forward) and not _has_elements(call):
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    measure(call, *named)
                except Inapplicable:
                    continue
            tried += 1
            if tried == 2:
                break
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is what the table tells
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
    return "" if tried else "no sample"


def _has_elements(call: Call) -> bool:
    return any(t.numel() for t in Function(call).inputs)


def page(results: dict[str, dict[str, str]]) -> str:
    """docs/coverage.md for the *results* of all rows."""
    works = [name for name, found in results.items() if not any(found.get(c) for c in COLUMNS[:4])]
    lines = [
        "# What works, operation by operation",
        "",
        f"{len(works)} of {len(results)} operations work: their value, and every derivative that PyTorch has for them.",
        "",
        f"Written by `make coverage` from what ran ({YES}), did not ({NO}), or is not offered by PyTorch either ({NONE}).",
        "A derivative counts where it equals finite differences in float64, another way to call where it gives the same.",
        "",
        "| operation | " + " | ".join(COLUMNS) + " |",
        "|---" + "|---" * len(COLUMNS) + "|",
    ]
    counts = [_count(results, column) for column in COLUMNS]
    lines.append("| **all** | " + " | ".join(counts) + " |")
    for name, found in results.items():
        cells = [NONE if c not in found else NO if found[c] else YES for c in COLUMNS]
        lines.append(f"| {name.replace('__', chr(92) + '_' + chr(92) + '_')} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _count(results: dict[str, dict[str, str]], column: str) -> str:
    offered = [found[column] for found in results.values() if column in found]
    return f"{sum(not complaint for complaint in offered)} / {len(offered)}"


def main() -> None:
    """Measure every row (or those named), tell what does not work, and write the page if all were measured."""
    wanted = sys.argv[1:]
    results = {row.name: measured(row) for row in rows() if not wanted or row.name in wanted}
    for name, found in results.items():
        for column, complaint in found.items():
            if complaint:
                print(f"{name}: {column}: {complaint}")
    if not wanted:
        PAGE.write_text(page(results))
        print(page(results).splitlines()[2])


if __name__ == "__main__":
    main()
