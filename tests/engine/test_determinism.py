"""The number of threads is handed to BLAS, and does not show in results where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import allgrad as torch
from allgrad import nn


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(before)


def trained(threads: int) -> bytes:
    """The weights of a small network after three steps of training."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(300, 200), nn.Tanh(), nn.Linear(200, 100))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.randn(257, 300)).pow(2).mean().backward()
        optimizer.step()
    return b"".join(p.detach().numpy().tobytes() for p in network.parameters())


def test_training_ends_with_the_same_bits_for_any_number_of_threads() -> None:
    torch.use_deterministic_algorithms(True)
    assert trained(1) == trained(2) == trained(3)


def test_training_twice_ends_with_the_same_bits() -> None:
    assert trained(2) == trained(2)


def test_the_number_of_threads_reaches_blas_and_comes_back() -> None:
    from allgrad.threads import _libraries

    blas = next(_libraries())
    torch.set_num_threads(1)
    assert blas.get() == torch.get_num_threads() == 1
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    assert (blas.get(), torch.get_num_threads()) == (1, 2)
    torch.use_deterministic_algorithms(False)
    assert blas.get() == 2


def test_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(RuntimeError, match="expects a positive integer, found 0"):
        torch.set_num_threads(0)
    with pytest.raises(RuntimeError, match="expects an int, but got float"):
        torch.set_num_threads(1.0)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="positive"):
        torch.set_num_interop_threads(-1)
    torch.set_num_interop_threads(2)
    assert torch.get_num_interop_threads() == 2


def test_the_mode_can_be_asked_for_by_every_name() -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.get_deterministic_debug_mode() == 1
    torch.set_deterministic_debug_mode("error")
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_deterministic_debug_mode() == 2
    torch.set_deterministic_debug_mode(0)
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="expected one of 'default'"):
        torch.set_deterministic_debug_mode("never")


def test_a_blas_that_cannot_be_told_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allgrad.determinism.can_be_set", lambda: False)
    with pytest.raises(RuntimeError, match="OPENBLAS_NUM_THREADS=1"):
        torch.use_deterministic_algorithms(True)
    with pytest.warns(UserWarning, match="OPENBLAS_NUM_THREADS=1"):
        torch.use_deterministic_algorithms(True, warn_only=True)
