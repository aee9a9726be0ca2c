"""Random numbers inside ``vmap``: refused, drawn for each example, or drawn once for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..batching import Batched, any_batched, by_rows
from .mode import mode


def drawing_for(source: np.random.Generator) -> Any:
    """What draws from *source* as the running maps say. RuntimeError where one of them refuses random numbers."""
    if any(vmap.randomness == "error" for vmap in mode.vmaps):
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' "
            "randomness flags on vmap or perform the randomness operation out of vmap"
        )
    different = [vmap for vmap in mode.vmaps if vmap.randomness == "different"]
    return _Drawing(source, different)


class _Drawing:
    """A NumPy generator whose methods draw anew for each example at the levels of *different*, in order."""

    def __init__(self, source: np.random.Generator, different: list[Any]) -> None:
        self._source = source
        levels, sizes = tuple(v.level for v in different), tuple(v.size for v in different)
        self._examples = Batched(np.empty(sizes), levels) if different else None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._source, name)

        def draw(*args: Any, **kwargs: Any) -> Any:
            if self._examples is None and not any_batched([args, kwargs]):
                return method(*args, **kwargs)
            start = self._source.bit_generator.state if self._examples is None else None

            def once(_: Any, *own: Any, **named: Any) -> Any:
                if start is not None:
                    self._source.bit_generator.state = start
                return method(*own, **named)

            return by_rows(once, (self._examples, *args), kwargs, "a random operation")

        return draw
