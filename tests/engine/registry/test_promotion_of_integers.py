"""Whole numbers become floating-point ones before a forward that would keep their type."""

from __future__ import annotations

import pytest

import allgrad as torch
from allgrad.registry import OPERATIONS
from allgrad.registry.operation import Promotion

FLOATING = sorted(
    name
    for name, op in OPERATIONS.items()
    if op.promotion is Promotion.FLOATING and len(op.operands) == 1 and not op.several and op.positional == 1
)


@pytest.mark.parametrize("name", FLOATING)
def test_an_operation_that_needs_floating_point_gives_the_default_type_for_integers(name: str) -> None:
    op = OPERATIONS[name]
    try:
        result = op.call(torch.tensor([1, 2]))
    except ImportError:
        pytest.skip("needs SciPy")
    except RuntimeError:
        pytest.skip("refuses integers, or a vector")
    first = result[0] if isinstance(result, tuple) else result
    assert first.is_floating_point() or first.is_complex()
