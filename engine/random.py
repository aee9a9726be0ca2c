"""Random numbers: NumPy's counter-based Philox behind ``manual_seed`` and ``Generator``."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np

from .devices import CPU, device
from .tape.drawing import drawing_for
from .tape.mode import mode
from .tensors.tensor import Tensor

_STATE_LENGTH = 14  # uint64 words: counter (4), key (2), buffer (4), buffer position, uinteger, has_uint32, seed


class Generator:
    """A stream of random numbers of its own.

    The same seed gives the same numbers on every machine; they are not PyTorch's numbers.

    >>> import allgrad as torch
    >>> a = torch.rand(2, generator=torch.Generator().manual_seed(1))
    >>> b = torch.rand(2, generator=torch.Generator().manual_seed(1))
    >>> torch.equal(a, b)
    True
    """

    def __init__(self, device: str | device = "cpu") -> None:
        self._seed = 67280421310721  # PyTorch's default seed
        self._source: np.random.Generator | None = None

    @property
    def device(self) -> device:
        """The CPU."""
        return CPU

    def manual_seed(self, seed: int) -> Generator:
        """Start over from *seed*, any 64-bit integer, and return this generator."""
        self._seed = int(seed) % (1 << 64)
        self._source = None
        return self

    @property
    def numpy(self) -> np.random.Generator:
        """The NumPy generator that draws the numbers; made when it is first needed."""
        if self._source is None:
            self._source = np.random.Generator(np.random.Philox(key=self._seed))
        return self._source

    def seed(self) -> int:
        """Start over from a seed that nobody knows, and return it."""
        self.manual_seed(secrets.randbits(63))
        return self._seed

    def initial_seed(self) -> int:
        """The seed it started from."""
        return self._seed

    def get_state(self) -> Tensor:
        """Where it is in its stream, as a vector of bytes (uint8)."""
        state: dict[str, Any] = dict(self.numpy.bit_generator.state)
        words = [*state["state"]["counter"], *state["state"]["key"], *state["buffer"], state["buffer_pos"],
                 state["uinteger"], state["has_uint32"], self._seed]  # fmt: skip
        return Tensor._wrap(np.array(words, dtype=np.uint64).view(np.uint8))

    def set_state(self, state: Tensor) -> Generator:
        """Go to the place in the stream that ``get_state`` returned. RuntimeError for anything else."""
        array = np.ascontiguousarray(state._array)
        if array.dtype != np.uint8 or array.size != 8 * _STATE_LENGTH:
            raise RuntimeError(
                f"set_state expected the {8 * _STATE_LENGTH} bytes that get_state returns, found {array.size} of {array.dtype}"
            )
        words = array.view(np.uint64)
        self.manual_seed(int(words[13]))
        self.numpy.bit_generator.state = {
            "bit_generator": "Philox",
            "state": {"counter": words[0:4].copy(), "key": words[4:6].copy()},
            "buffer": words[6:10].copy(),
            "buffer_pos": int(words[10]),
            "uinteger": int(words[11]),
            "has_uint32": int(words[12]),
        }  # fmt: skip
        return self

    def exchange(self, source: np.random.Generator | None) -> np.random.Generator | None:
        """Draw from *source* from now on, and return what was drawn from before, to be given back here."""
        before, self._source = self._source, source
        return before


default_generator = Generator()


class Stream:
    """A random stream that follows from whole numbers, from which all that is random draws while it is entered.

    ``torch.rand``, dropout and whatever else draws from the default generator, NumPy's ``np.random`` functions and
    Python's ``random`` continue their own streams afterwards as though nothing had been drawn. Streams of different
    *key* or *counter* never overlap; entered once more, one goes on where it was left.

    Args:
        key: the seed, any 64-bit integer, and a number that tells uses of it apart.
        counter: two further numbers, such as a step and the number of a shard.

    >>> import allgrad as torch
    >>> from allgrad.random import Stream
    >>> with Stream((7, 1), (0, 3)):
    ...     a = torch.rand(2)
    >>> with Stream((7, 1), (0, 3)):
    ...     torch.equal(a, torch.rand(2))
    True
    """

    def __init__(self, key: tuple[int, int], counter: tuple[int, int]) -> None:
        words = [number % (1 << 64) for number in (*key, *counter)]
        bits = np.random.Philox(key=np.array(words[:2], np.uint64), counter=np.array([0, 0, *words[2:]], np.uint64))
        self._generator = np.random.Generator(bits)
        self._own: tuple[Any, Any, Any] = self._generator, bits, random.Random(repr(words)).getstate()

    def __enter__(self) -> None:
        self._outer = _exchange_sources(*self._own)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._own = _exchange_sources(*self._outer)


def _numpy_functions() -> Any:
    """The module of ``np.random.rand`` and its like, whose two functions that follow are missing from its stubs."""
    return np.random


def _exchange_sources(source: Any, bits: Any, state: Any) -> tuple[Any, Any, Any]:
    before = default_generator.exchange(source), _numpy_functions().get_bit_generator(), random.getstate()
    _numpy_functions().set_bit_generator(bits)
    random.setstate(state)
    return before


def numpy_generator(generator: Generator | None) -> Any:
    """The NumPy generator behind *generator*, or behind the default one: inside ``vmap``, what draws as its *randomness* says.

    RuntimeError where that is "error".
    """
    source = (generator or default_generator).numpy
    return source if not mode.vmaps else drawing_for(source)


def manual_seed(seed: int) -> Generator:
    """Let the random numbers of this process start over from *seed*."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Let the random numbers of this process start over from a seed that nobody knows, and return it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the random numbers of this process started from."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """Where the random numbers of this process are in their stream, as a vector of bytes."""
    return default_generator.get_state()


def set_rng_state(state: Tensor) -> None:
    """Continue the random numbers of this process from *state*."""
    default_generator.set_state(state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **names: Any) -> Iterator[None]:
    """Inside ``with fork_rng():`` random numbers may be drawn; afterwards they go on as though none had been.

    *devices* is accepted; *enabled* False changes nothing.

    >>> import allgrad as torch
    >>> _ = torch.manual_seed(0)
    >>> with torch.random.fork_rng():
    ...     a = torch.rand(2)
    >>> torch.equal(a, torch.rand(2))
    True
    """
    before = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(before)
