"""The hosts that the ranks of a job are dealt to, as values."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Host:
    """A host and how many ranks it is to have."""

    name: str
    slots: int = 1

    def __str__(self) -> str:
        return f"{self.name}:{self.slots}"

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"the host {self.name}"

    @property
    def local(self) -> bool:
        """Whether it is this machine, by one of its names."""
        own = socket.gethostname()
        return self.name in ("localhost", "127.0.0.1", own, own.partition(".")[0]) or self.name.partition(".")[0] == own


def deal(hosts: Sequence[Host], ranks: int) -> tuple[Host, ...]:
    """Return how many of *ranks* ranks each of *hosts* gets, the first being filled first.

    Raises InvalidRequest if they have fewer slots.

    >>> [str(host) for host in deal([Host("a", 2), Host("b", 2), Host("c", 2)], 3)]
    ['a:2', 'b:1']
    """
    slots = sum(host.slots for host in hosts)
    if ranks > slots:
        raise InvalidRequest(
            f"{ranks} ranks do not fit on the hosts {','.join(map(str, hosts))}",
            f"they have {slots} slot{'s' if slots != 1 else ''}",
            "give more ranks to a host, as in host:4, or ask for fewer with -n",
            field="spec.hosts",
        )
    dealt = []
    for host in hosts:
        share = min(ranks, host.slots)
        if share:
            dealt.append(Host(host.name, share))
        ranks -= share
    return tuple(dealt)
