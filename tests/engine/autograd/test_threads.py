"""Threads: each has its own mode of recording, and may run backward beside others into the same leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

import allgrad as torch

THREADS, TURNS = 4, 50


def in_threads(work: Callable[[int], object]) -> None:
    """Run *work* in several threads at once, and wait for them; what one raises is raised here."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 -- raised again below, where it fails the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_a_new_thread_records_whatever_its_maker_does() -> None:
    found: list[tuple[bool, bool]] = []
    with torch.no_grad():
        in_threads(lambda _: found.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled())))
        assert not torch.is_grad_enabled()
    assert found == [(True, False)] * THREADS


def test_modes_of_threads_that_run_together_do_not_mix() -> None:
    meet = threading.Barrier(THREADS, timeout=10)
    x = torch.ones(1, requires_grad=True)

    def work(number: int) -> None:
        for _ in range(10):
            with torch.set_grad_enabled(number % 2 == 0):
                meet.wait()
                assert (x * 2).requires_grad == (number % 2 == 0)
                meet.wait()

    in_threads(work)


def test_concurrent_backwards_of_graphs_of_their_own_lose_nothing_of_a_shared_leaf() -> None:
    w = torch.zeros(16, 16, requires_grad=True)

    def work(number: int) -> None:
        for _ in range(TURNS):
            (torch.ones(2, 16) @ w).sum().backward()

    in_threads(work)
    assert w.grad is not None
    assert w.grad.unique().tolist() == [2.0 * THREADS * TURNS]


def test_concurrent_backwards_through_a_shared_graph_lose_nothing() -> None:
    x = torch.ones(3, requires_grad=True)
    shared = (x * 2).cos() + x

    def work(number: int) -> None:
        for _ in range(TURNS):
            (shared * 1).sum().backward(retain_graph=True)

    (once,) = torch.autograd.grad(shared.sum(), x, retain_graph=True)
    in_threads(work)
    assert x.grad is not None
    assert x.grad[0].item() == pytest.approx(once[0].item() * THREADS * TURNS, rel=1e-4)
