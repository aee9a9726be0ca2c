"""What thirty and more typical mistakes are told: ``mistakes.txt`` holds every message, word for word.

After a deliberate change: ``python tests/engine/mistakes.py > tests/engine/mistakes.txt``, and read the difference.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GOLDEN = (HERE / "mistakes.txt").read_text(encoding="utf-8")

_spec = importlib.util.spec_from_file_location("mistakes", HERE / "mistakes.py")
assert _spec is not None
assert _spec.loader is not None
mistakes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(mistakes)


@pytest.mark.parametrize("program", mistakes.MISTAKES, ids=lambda program: program.__name__)
def test_a_mistake_is_told_as_recorded(program: object) -> None:
    assert mistakes.page_of(program) in GOLDEN


def test_every_mistake_is_told_something_and_nothing_else_is_recorded() -> None:
    told = [mistakes.page_of(program) for program in mistakes.MISTAKES]
    assert len(told) >= 30
    assert not any(text.endswith("\n    nothing") for text in told)
    assert "\n\n".join(told) + "\n" == GOLDEN


def test_what_goes_wrong_in_backward_names_lines_of_both_forward_and_culprit() -> None:
    programs = {p.__name__: mistakes.told(p) for p in mistakes.MISTAKES}
    for name in ("a_saved_value_changed_in_place", "a_saved_value_changed_inside_a_module", "a_second_backward"):
        assert len(re.findall(r"mistakes\.py:\d+ \(.+?\)", programs[name])) >= 2
    assert "outside the loop" in programs["a_convolution_outside_of_the_loop"]
    assert "in an earlier turn of the loop" in programs["a_hidden_state_carried_over_steps"]
    assert "in Sequential.1 (Gate)" in programs["a_saved_value_changed_inside_a_module"]
