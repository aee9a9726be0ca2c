"""Samplers: the order in which a dataset's indices are drawn, singly and in batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from ...operations.random_tensors import randint, randperm
from ...random import Generator
from ...tensors.tensor import Tensor

Drawn = TypeVar("Drawn", covariant=True)


class Sampler(Generic[Drawn]):
    """An order of indices: a subclass defines ``__iter__`` and, so that a loader has a length, ``__len__``.

    A sampler whose order is random and must survive a restart also has ``state_dict`` and
    ``load_state_dict``: the state of the order in progress, and a promise to iterate in that order once more.
    """

    def __iter__(self) -> Iterator[Drawn]:
        raise NotImplementedError("Subclasses of Sampler should implement __iter__.")


class KeyedBatch(list[int]):
    """The indices of one batch, and the key from which whatever is random in its samples follows.

    A loader that is given it draws each sample within the random stream of *key* and the sample's index, so that a
    random transform does the same to a sample in whichever process, at whatever place of a batch it is drawn.

    Args:
        indices: of the samples.
        seed, epoch: what the random streams follow from, besides the index.
    """

    def __init__(self, indices: Iterable[int], seed: int, epoch: int) -> None:
        super().__init__(indices)
        self.seed, self.epoch = seed, epoch

    def __reduce__(self) -> tuple[Any, ...]:
        return KeyedBatch, (list(self), self.seed, self.epoch)


class SequentialSampler(Sampler[int]):
    """All indices, in order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class _Seeded(Sampler[int]):
    """A random order that follows from one seed, drawn anew whenever it begins."""

    generator: Generator | None
    _seed: int | None = None
    _resumed = False

    def __iter__(self) -> Iterator[int]:
        if not self._resumed:
            self._seed = int(randint(0, 2**63 - 1, (), generator=self.generator).item())
        self._resumed = False
        assert self._seed is not None
        return self._order(Generator().manual_seed(self._seed))

    def _order(self, generator: Generator) -> Iterator[int]:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return the seed of the order drawn last."""
        return {"seed": self._seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Draw the order of ``state`` the next time, and fresh ones after it."""
        self._seed = state["seed"]
        self._resumed = self._seed is not None


class RandomSampler(_Seeded):
    """A random permutation of all indices, or indices drawn with replacement.

    Args:
        data_source: what has a length.
        replacement: draw every index from all indices.
        num_samples: how many to draw (default: all); beyond the length, one permutation follows another.
        generator: where the randomness comes from; the default generator if not given.

    Raises:
        TypeError: ``replacement`` is no bool.
        ValueError: ``num_samples`` is not positive.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self.generator = generator
        self._num_samples = num_samples
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={self.num_samples}")

    @property
    def num_samples(self) -> int:
        """How many indices one iteration draws."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _order(self, generator: Generator) -> Iterator[int]:
        size = len(self.data_source)
        if self.replacement:
            yield from randint(0, size, (self.num_samples,), generator=generator).tolist()
            return
        left = self.num_samples
        while left > 0:
            yield from randperm(size, generator=generator).tolist()[:left]
            left -= size

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(_Seeded):
    """The given indices in a random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def _order(self, generator: Generator) -> Iterator[int]:
        for i in randperm(len(self.indices), generator=generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(_Seeded):
    """Indices drawn with probabilities proportional to ``weights``.

    Args:
        weights: one non-negative number for every index; they need not sum to 1.
        num_samples: how many indices to draw.
        replacement: False draws every index at most once.
        generator: where the randomness comes from; the default generator if not given.

    Raises:
        ValueError: weights that are not one-dimensional, negative or all zero; a ``num_samples`` that is not
            positive, or larger than the number of non-zero weights without replacement.
    """

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        values = np.array(weights.tolist() if isinstance(weights, Tensor) else weights, np.float64)
        if values.ndim != 1:
            raise ValueError(f"weights should be a 1d sequence but given weights have shape {values.shape}")
        if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
            raise ValueError("weights should be finite and not negative, and not all zero")
        if not replacement and num_samples > np.count_nonzero(values):
            raise ValueError(
                f"cannot draw {num_samples} different indices: only {np.count_nonzero(values)} weights are not zero"
            )
        self.weights = Tensor._wrap(values)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def _order(self, generator: Generator) -> Iterator[int]:
        weights = self.weights.numpy()
        draw = generator.numpy.choice(
            len(weights), self.num_samples, replace=self.replacement, p=weights / weights.sum()
        )
        yield from draw.tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """The indices of another sampler in lists of ``batch_size``; ``drop_last`` leaves out a shorter last one.

    Raises:
        ValueError: a ``batch_size`` that is not positive, or a ``drop_last`` that is no bool.

    Example:
        >>> from allgrad.utils.data import BatchSampler, SequentialSampler
        >>> list(BatchSampler(SequentialSampler(range(5)), batch_size=2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        # Not a generator itself, so that the sampler has begun its order when this returns.
        return self._batches(iter(self.sampler))

    def _batches(self, indices: Iterator[int]) -> Iterator[list[int]]:
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
