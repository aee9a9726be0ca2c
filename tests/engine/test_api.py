"""The public names of the engine."""

from __future__ import annotations

from importlib.util import find_spec
from types import ModuleType

from allgrad import api


def test_no_public_name_hides_a_module_of_the_package() -> None:
    public = {name: value for name, value in vars(api).items() if not name.startswith("_")}
    hidden = [
        name
        for name, value in public.items()
        if not isinstance(value, ModuleType) and find_spec(f"allgrad.{name}") is not None
    ]
    assert len(public) > 400
    assert hidden == []
