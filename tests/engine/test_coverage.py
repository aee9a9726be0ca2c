"""docs/coverage.md says what runs: every operation of the list, measured anew."""

from __future__ import annotations

import pytest

from allgrad.registry.samples import on, real

from .coverage import COLUMNS, PAGE, Row, measured, page, rows
from .coverage_calls import CALLS

LEAST = 652  # of 652: what works never shrinks


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, str]]:
    return {row.name: measured(row) for row in rows()}


def test_the_page_is_up_to_date(results: dict[str, dict[str, str]]) -> None:
    assert page(results) == PAGE.read_text(), "run make coverage"


def test_no_fewer_operations_work_than_before(results: dict[str, dict[str, str]]) -> None:
    broken = [name for name, found in results.items() if any(found.get(column) for column in COLUMNS[:4])]
    assert len(results) - len(broken) >= LEAST, broken


def test_every_way_to_call_an_operation_that_exists_works(results: dict[str, dict[str, str]]) -> None:
    complaints = {
        name: {column: text for column, text in found.items() if text}
        for name, found in results.items()
        if not found["value"] and any(found.values())
    }
    assert complaints == {}


def test_a_name_without_a_function_is_found_missing() -> None:
    found = measured(Row("no_such_operation", (True,) * len(COLUMNS)))
    assert set(found.values()) == {"LookupError: no function no_such_operation"}


def test_a_wrong_derivative_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    sine = next(row for row in rows() if row.name == "sin")
    assert not any(measured(sine).values())
    monkeypatch.setitem(CALLS, "sin", (lambda x: x.sin() + x.detach(), on(real(3))))
    assert measured(sine)["gradient"].startswith("AssertionError")
