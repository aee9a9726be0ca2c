"""The DataLoader: its batches, its order, its workers, its errors, and going on where it was."""

from __future__ import annotations

import gc
import io
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import pytest

from allgrad.random import Generator, initial_seed, manual_seed
from allgrad.serialization import load, save
from allgrad.tensors.tensor import Tensor
from allgrad.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    TensorDataset,
    get_worker_info,
)


def tensor(values: Any) -> Tensor:
    return Tensor._wrap(np.asarray(values))


def numbers(count: int) -> TensorDataset:
    return TensorDataset(tensor(np.arange(count)), tensor(np.arange(count, dtype=np.float32) * 10))


def batches(loader: Any) -> list[list[int]]:
    return [batch[0].tolist() for batch in loader]


class Squares(Dataset[int]):
    """A map-style dataset of Python ints."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        return index * index


class Stream(IterableDataset[int]):
    """Numbers below ``end``, of which each worker yields its share."""

    def __init__(self, end: int) -> None:
        self.end = end

    def __iter__(self) -> Iterator[int]:
        info = get_worker_info()
        return iter(range(self.end) if info is None else range(info.id, self.end, info.num_workers))

    def __len__(self) -> int:
        return self.end


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("drop_last", "count"), [(False, 4), (True, 3)])
def test_batches_come_in_order_and_a_short_last_one_can_be_dropped(workers: int, drop_last: bool, count: int) -> None:
    loader = DataLoader(numbers(10), batch_size=3, drop_last=drop_last, num_workers=workers)
    assert len(loader) == count
    assert batches(loader) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]][:count]
    assert batches(loader) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]][:count]


def test_the_fast_way_through_tensors_equals_collating_single_samples() -> None:
    dataset = Subset(Subset(numbers(20), [19, 3, 4, 5, 7, 9]), [5, 0, 1, 1])
    fast = list(DataLoader(dataset, batch_size=3))
    slow = list(DataLoader(dataset, batch_size=3, collate_fn=lambda samples: list(zip(*samples, strict=True))))
    for one, other in zip(fast, slow, strict=True):
        for together, singly in zip(one, other, strict=True):
            assert together.tolist() == [x.item() for x in singly]
    assert fast[0][0].dtype is dataset[0][0].dtype


def test_a_batch_does_not_share_memory_with_its_dataset() -> None:
    values = tensor(np.zeros(4))
    for (batch,) in DataLoader(TensorDataset(values), batch_size=2):
        batch.numpy()[:] = 1
    assert values.tolist() == [0, 0, 0, 0]


def test_shuffling_visits_every_sample_once_in_an_order_that_follows_from_the_seed() -> None:
    def order(seed: int) -> list[int]:
        loader = DataLoader(numbers(50), batch_size=7, shuffle=True, generator=Generator().manual_seed(seed))
        first, second = list(chain(*batches(loader))), list(chain(*batches(loader)))
        assert sorted(first) == sorted(second) == list(range(50))
        assert first != second
        return first + second

    assert order(0) == order(0)
    assert order(0) != order(1)


def test_the_order_is_the_same_with_and_without_workers() -> None:
    def order(workers: int) -> list[list[int]]:
        manual_seed(5)
        loader = DataLoader(numbers(20), batch_size=4, shuffle=True, num_workers=workers)
        return batches(loader) + batches(loader)

    assert order(0) == order(1) == order(2)


def test_without_batching_samples_come_one_by_one() -> None:
    assert list(DataLoader(Squares(4), batch_size=None)) == [0, 1, 4, 9]
    assert list(DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]


def test_a_sampler_of_ones_own_decides_the_order() -> None:
    assert batches(DataLoader(numbers(9), batch_size=2, sampler=[8, 1, 0])) == [[8, 1], [0]]
    assert batches(DataLoader(numbers(9), batch_sampler=[[1, 2, 3], [0]])) == [[1, 2, 3], [0]]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_stream_is_read_to_its_end_by_all_workers_together(workers: int) -> None:
    loader = DataLoader(Stream(11), batch_size=2, num_workers=workers)
    found = [batch.tolist() for batch in loader]
    assert sorted(chain(*found)) == list(range(11))
    assert len(loader) == 6


def test_a_short_last_batch_of_a_stream_can_be_dropped() -> None:
    assert [b.tolist() for b in DataLoader(Stream(5), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]


class Drawing(Dataset[Any]):
    """Every sample is what the three generators of its process draw."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        info = get_worker_info()
        assert info is not None
        assert info.seed == initial_seed()
        return info.id, info.num_workers, random.random(), np.random.rand(), os.getpid()


def test_workers_have_different_seeds_that_follow_from_the_loaders_generator() -> None:
    def draw(seed: int) -> list[Any]:
        loader = DataLoader(
            Drawing(),
            batch_size=None,
            num_workers=2,
            generator=Generator().manual_seed(seed),
            collate_fn=list,
        )
        return list(loader)

    first, again, other = draw(0), draw(0), draw(1)
    assert [sample[:2] for sample in first] == [[0, 2], [1, 2], [0, 2], [1, 2]]
    assert [sample[:4] for sample in first] == [sample[:4] for sample in again]
    assert len({sample[2] for sample in first + other}) == 8
    assert len({sample[3] for sample in first + other}) == 8
    assert os.getpid() not in {sample[4] for sample in first}


def test_the_main_process_is_no_worker() -> None:
    assert get_worker_info() is None


class Initialised(Dataset[int]):
    """Yields what ``number_worker`` left in its process."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        info = get_worker_info()
        assert info is not None
        return int(info.dataset.number)


def number_worker(worker: int) -> None:
    info = get_worker_info()
    assert info is not None
    info.dataset.number = 100 + worker


@pytest.mark.parametrize("context", [None, "spawn"])
def test_each_worker_is_initialised_with_its_number(context: str | None) -> None:
    loader = DataLoader(
        Initialised(),
        num_workers=2,
        worker_init_fn=number_worker,
        multiprocessing_context=context,
        batch_size=None,
    )
    assert list(loader) == [100, 101]


class ProcessIds(Dataset[int]):
    """Every sample is its process."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        return os.getpid()


def ends_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_persistent_workers_serve_every_loop_and_others_one() -> None:
    keeping = DataLoader(ProcessIds(), num_workers=1, persistent_workers=True, batch_size=None)
    first = set(keeping)
    next(iter(keeping))  # a loop left early
    assert set(keeping) == first
    (pid,) = first
    del keeping
    gc.collect()
    assert ends_within(pid, 5)
    loader = DataLoader(ProcessIds(), num_workers=1, batch_size=None)
    assert set(loader) != set(loader)


def test_a_loop_that_is_left_early_ends_its_workers() -> None:
    loop = iter(DataLoader(ProcessIds(), num_workers=1, batch_size=None))
    pid = next(loop)
    del loop
    gc.collect()
    assert ends_within(pid, 5)


def test_workers_end_when_the_process_of_their_loader_is_killed(tmp_path: Any) -> None:
    script = """
import os, time
from allgrad.utils.data import DataLoader, Dataset
class ProcessIds(Dataset):
    def __len__(self):
        return 1000
    def __getitem__(self, index):
        return os.getpid()
loop = iter(DataLoader(ProcessIds(), num_workers=2, batch_size=None))
print(next(loop), next(loop), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert len(set(pids)) == 2
    assert all(ends_within(pid, 10) for pid in pids)


class Failing(Dataset[int]):
    """Raises, exits or sleeps at index 2."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        if index == 2:
            self.fail()
        return index

    def fail(self) -> None:
        if self.how == "raise":
            raise KeyError("the needle")
        if self.how == "strange":
            raise UnicodeDecodeError("utf-8", b"x", 0, 1, "strange")
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "exit":
            os._exit(3)
        time.sleep(30)


def test_an_exception_in_a_worker_is_raised_here_with_its_traceback() -> None:
    with pytest.raises(KeyError) as caught:
        list(DataLoader(Failing("raise"), num_workers=2))
    text = str(caught.value)
    assert text.startswith("Caught KeyError in DataLoader worker process 0.\nOriginal Traceback")
    assert 'raise KeyError("the needle")' in text


def test_an_exception_that_cannot_be_rebuilt_becomes_a_runtime_error() -> None:
    with pytest.raises(RuntimeError, match="Caught UnicodeDecodeError in DataLoader worker"):
        list(DataLoader(Failing("strange"), num_workers=1))


def test_an_exception_in_worker_init_fn_is_raised_with_the_first_batch() -> None:
    def fail(worker: int) -> None:
        raise OSError(f"no file for {worker}")

    with pytest.raises(OSError, match="no file for 0"):
        list(DataLoader(Squares(3), num_workers=1, worker_init_fn=fail))


def test_a_batch_that_cannot_be_sent_is_reported() -> None:
    with pytest.raises(Exception, match="in DataLoader worker process 0"):
        list(DataLoader(Squares(2), num_workers=1, collate_fn=lambda samples: lambda: samples))


@pytest.mark.parametrize(("how", "message"), [("kill", "killed by signal: Killed"), ("exit", "with exit code 3")])
def test_the_death_of_a_worker_is_reported_at_once(how: str, message: str) -> None:
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=rf"DataLoader worker \(pid \d+\) .*{message}"):
        list(DataLoader(Failing(how), num_workers=1, batch_size=None))
    assert time.monotonic() - start < 5


def test_a_worker_that_takes_too_long_is_reported_and_ended() -> None:
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.2 seconds"):
        list(DataLoader(Failing("sleep"), num_workers=1, timeout=0.2, batch_size=None))


class Uneven(Dataset[int]):
    """The even samples take longer."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> int:
        time.sleep(0 if index % 2 else 0.05)
        return index


def test_out_of_order_batches_come_as_they_are_ready() -> None:
    ordered = list(DataLoader(Uneven(), num_workers=2, batch_size=None))
    ready = list(DataLoader(Uneven(), num_workers=2, batch_size=None, in_order=False))
    assert ordered == list(range(12))
    assert sorted(ready) == ordered
    assert ready != ordered


def test_large_batches_and_large_lists_of_indices_do_not_block() -> None:
    dataset = TensorDataset(tensor(np.arange(400_000, dtype=np.int64)))
    loader = DataLoader(dataset, batch_size=100_000, num_workers=1, prefetch_factor=4)
    assert [batch[-1].item() for (batch,) in loader] == [99_999, 199_999, 299_999, 399_999]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("taken", [0, 1, 3, 5])
def test_a_restored_loader_goes_on_with_the_next_batch_and_the_same_epochs_after(workers: int, taken: int) -> None:
    def make() -> DataLoader[Any]:
        generator = Generator().manual_seed(3)
        return DataLoader(numbers(20), batch_size=4, shuffle=True, generator=generator, num_workers=workers)

    whole = make()
    expected = batches(whole) + batches(whole) + batches(whole)
    first = make()
    found = batches(first)
    state = first.state_dict()
    for batch in first:
        if len(found) == 5 + taken:
            break
        found.append(batch[0].tolist())
        state = first.state_dict()
    file = io.BytesIO()
    save(state, file)
    file.seek(0)
    second = make()
    second.load_state_dict(load(file))
    assert second.state_dict()["batches"] == state["batches"] == taken % 6
    assert found + batches(second) + batches(second) == expected


def test_a_restored_loader_does_not_make_the_skipped_batches_again() -> None:
    made = []

    class Counting(Squares):
        def __getitem__(self, index: int) -> int:
            made.append(index)
            return index

    loader = DataLoader(Counting(6), batch_size=2)
    loop = iter(loader)
    next(loop)
    other = DataLoader(Counting(6), batch_size=2)
    other.load_state_dict(loader.state_dict())
    made.clear()
    assert [batch.tolist() for batch in other] == [[2, 3], [4, 5]]
    assert made == [2, 3, 4, 5]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_restored_stream_goes_on_after_the_batches_it_had_yielded(workers: int) -> None:
    loader = DataLoader(Stream(12), batch_size=2, num_workers=workers)
    expected = [batch.tolist() for batch in loader]
    loop = iter(loader)
    next(loop)
    next(loop)
    other = DataLoader(Stream(12), batch_size=2, num_workers=workers)
    other.load_state_dict(loader.state_dict())
    assert [batch.tolist() for batch in other] == expected[2:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "num_workers option should be non-negative"),
        ({"timeout": -1}, "timeout option should be non-negative"),
        ({"prefetch_factor": 2}, "prefetch_factor option could only be specified in multiprocessing"),
        ({"prefetch_factor": 0, "num_workers": 1}, "prefetch_factor option should be positive"),
        ({"persistent_workers": True}, "persistent_workers option needs num_workers > 0"),
        ({"shuffle": True, "sampler": [0]}, "sampler option is mutually exclusive with shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler option is mutually exclusive"),
        ({"batch_sampler": [[0]], "drop_last": True}, "batch_sampler option is mutually exclusive"),
        ({"batch_size": None, "drop_last": True}, "batch_size=None option disables auto-batching"),
        ({"batch_size": 0}, "batch_size should be a positive integer value, but got batch_size=0"),
        ({"multiprocessing_context": "fork"}, "can only be used with multi-process loading"),
        ({"multiprocessing_context": "magic", "num_workers": 1}, "should specify a valid start method in"),
    ],
)
def test_contradictory_options_raise_pytorchs_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataLoader(numbers(4), **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_a_stream_takes_no_order(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"expected unspecified {name} option, but got {name}="):
        DataLoader(Stream(3), **options)


def test_a_context_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(TypeError, match="should be a valid context object"):
        DataLoader(numbers(4), num_workers=1, multiprocessing_context=3)  # type: ignore[arg-type]


def test_what_makes_the_batches_is_fixed_once_the_loader_is_made() -> None:
    loader = DataLoader(numbers(4))
    with pytest.raises(ValueError, match="batch_size attribute should not be set after DataLoader is initialized"):
        loader.batch_size = 2
    loader.num_workers = 1


def test_too_many_workers_and_pinned_memory_warn_as_in_pytorch() -> None:
    with pytest.warns(UserWarning, match="will create 9999 worker processes"):
        DataLoader(numbers(4), num_workers=9999)
    with pytest.warns(UserWarning, match="no accelerator is found"):
        DataLoader(numbers(4), pin_memory=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DataLoader(numbers(4), num_workers=1)


def test_the_loaders_parts_are_named_as_in_pytorch() -> None:
    loader = DataLoader(numbers(4), batch_size=2, shuffle=True)
    assert isinstance(loader.sampler, RandomSampler)
    assert isinstance(loader.batch_sampler, BatchSampler)
    assert isinstance(DataLoader(numbers(4)).sampler, SequentialSampler)
