"""Parameters of which each host holds one copy: its ranks share it, and every rank changes its own share."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING

import numpy as np

from allgrad import Tensor
from allgrad.autograd.graph import increment_version

from ..communication.hosts import first_of_each, neighbours, wait_until
from ..communication.shared_memory import map_together
from ..world import Group, mpi
from .divided import memory_of, set_memory
from .shares import Row

if TYPE_CHECKING:
    from mpi4py import MPI


class Hosts:
    """Which ranks of *comm*, all of which make this together, share a host's memory, and what connects the hosts."""

    def __init__(self, comm: MPI.Intracomm) -> None:
        self.host = neighbours(comm)
        self.firsts = first_of_each(comm, self.host)
        first = comm.allgather(self.host.bcast(comm.rank))
        self.count = len(set(first))
        """How many hosts there are."""
        self._ranks = [[rank for rank in range(comm.size) if first[rank] == host] for host in sorted(set(first))]

    def in_turn(self) -> Iterator[list[int | None]]:
        """Yield a rank of each host, the first of each, then the second, and so on; None where a host has no more."""
        for each in zip_longest(*self._ranks):
            yield list(each)


class HostRow(Row):
    """A `Row` that lies in memory which the ranks of a host share; every host has one.

    Every rank sees every value and may write none, except into its own interval between `begin_change` and `spread`.
    Raises OSError on all ranks of *group*, which are those of *hosts*, where some cannot share memory.
    """

    def __init__(self, parameters: Sequence[Tensor], group: Group, hosts: Hosts) -> None:
        super().__init__(parameters, group)
        self._hosts = hosts
        self._dtype = parameters[0].detach().numpy().dtype
        self._length = max(len(self) * self._dtype.itemsize, 1)
        self._mapped: mmap.mmap
        problem = ""
        try:
            map_together(hosts.host, self._length, "allgrad-parameters", self._reserve)
        except OSError as error:
            problem = str(error)
        assert group.comm is not None
        if problems := [text for text in group.comm.allgather(problem) if text]:
            raise OSError(problems[0])

    def adopt(self) -> None:
        """Let all parameters lie in this row, with the values they have, which are the same on every rank; only once."""
        if self.memory is not None:
            return
        self.memory = np.frombuffer(self._mapped, self._dtype, len(self))
        readable = self.memory.view()
        readable.flags.writeable = False
        self._places = [
            readable[start:stop].reshape(tuple(parameter.shape))
            for parameter, (start, stop) in zip(self.parameters, pairwise(self.ends), strict=True)
        ]
        self.close()

    def open(self) -> None:
        """Give every parameter memory of its own, which may be written."""
        for parameter in self.parameters:
            set_memory(parameter, memory_of(parameter).copy())

    def close(self) -> None:
        """Take over what this rank has in the parameters' own memory of its interval, and show that of all."""
        self.begin_change()
        self.spread()

    def begin_change(self) -> None:
        """Wait until no rank uses the values any more that are about to change; all of them call it.

        Parameters that a script has given other memory come to lie in the row again, with the values they have.
        """
        self._wait_for_all()
        for i, (parameter, place) in enumerate(zip(self.parameters, self._places, strict=True)):
            if (values := memory_of(parameter)) is not place:
                self.values_of(i)[...] = values.reshape(-1)[self.owned_of(i)]
                set_memory(parameter, place)

    def spread(self) -> None:
        """Wait until every rank has changed its interval, and bring them to all hosts; all of them call it."""
        self._wait_for_all()
        if self._hosts.count > 1:
            if self._hosts.firsts is not None:
                self._exchange(self._hosts.firsts)
            self._wait_for_all()
        increment_version(self.parameters)

    def _exchange(self, firsts: MPI.Intracomm) -> None:
        assert self.memory is not None
        as_bytes, width = self.memory.view(np.uint8), self.memory.itemsize
        for ranks in self._hosts.in_turn():
            starts = [0 if rank is None else self.cuts[rank] * width for rank in ranks]
            lengths = [0 if rank is None else (self.cuts[rank + 1] - self.cuts[rank]) * width for rank in ranks]
            firsts.Allgatherv(mpi().IN_PLACE, (as_bytes, (lengths, starts)))

    def _reserve(self, file: int) -> None:
        """Take the memory of *file* now, when a lack of it can still be told: later it would end the process."""
        os.posix_fallocate(file, 0, self._length)
        self._mapped = mmap.mmap(file, self._length, flags=mmap.MAP_SHARED)

    def _wait_for_all(self) -> None:
        wait_until(self._hosts.host.Ibarrier().Test, self._hosts.host)
