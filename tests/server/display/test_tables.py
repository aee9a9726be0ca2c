"""Tables: what stands in a column begins in one column of the terminal, however wide its letters are."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from allgrad.server.display.tables import NAME_WIDTH, aligned, shortened

NAMES = ("plain", "\N{CJK UNIFIED IDEOGRAPH-8A13}\N{CJK UNIFIED IDEOGRAPH-7DF4}", "cafe\N{COMBINING ACUTE ACCENT}")


def columns(text: str) -> int:
    """How many columns *text* takes, for the few kinds of letters that are tried here."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def test_wide_and_combining_letters_leave_the_columns_aligned() -> None:
    lines = aligned([(name, "next") for name in NAMES])
    assert {columns(line.removesuffix("next")) for line in lines} == {len("plain") + 2}


def test_a_line_is_cut_where_the_terminal_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    (line,) = aligned([(NAMES[1] * 9, "next")])
    assert line.endswith("…")
    assert columns(line) == 20


@pytest.mark.parametrize("name", [name * NAME_WIDTH for name in NAMES])
def test_a_long_name_is_cut_to_the_columns_it_may_have(name: str) -> None:
    assert name.startswith(shortened(name, NAME_WIDTH))
    assert NAME_WIDTH - 1 <= columns(shortened(name, NAME_WIDTH)) <= NAME_WIDTH
