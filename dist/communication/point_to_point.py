"""Messages from one rank to another: a Tensor, or any object.

Every message begins with the dtype and shape of what it carries, so that a Tensor never lands in one of another kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..observation.spans import waiting
from ..world import Group, current, mpi
from .buffers import Array, as_bytes, contiguous, memory_of, put_back, shown
from .groups import member_number, members

if TYPE_CHECKING:
    from mpi4py import MPI

_LABEL_BYTES = 64


class Message:
    """A Tensor on its way to or from another rank; `wait` for it before the Tensor is changed or read."""

    def __init__(self, what: str, request: MPI.Request, group: Group, finish: Callable[[MPI.Status], None]) -> None:
        self._what, self._request, self._group, self._finish = what, request, group, finish
        self._status = mpi().Status()
        self._done = False
        _kept.add(self)

    def is_completed(self) -> bool:
        """Return whether it has left, or arrived; never waits."""
        if not self._done and self._ask(self._request.Test):
            self._complete()
        return self._done

    def wait(self) -> bool:
        """Wait until it has left, or arrived, and return True; RuntimeError if something else arrived."""
        if not self._done:
            with waiting(self._what):
                self._ask(self._request.Wait)
            self._complete()
        return True

    def source_rank(self) -> int:
        """Return which rank of the world it came from, once it has arrived."""
        return self._group.ranks[int(self._status.Get_source())]

    def uses_memory(self) -> bool:
        """Return whether MPI may still read or write its memory; changes nothing, and never waits."""
        try:
            return not self._done and not self._request.Get_status()
        except mpi().Exception:  # it ended in an error, which `wait` tells
            return False

    def _ask(self, question: Callable[[MPI.Status], bool]) -> bool:
        try:
            return question(self._status)
        except mpi().Exception as error:
            raise RuntimeError(f"{self._what}: what was sent is larger ({error})") from error

    def _complete(self) -> None:
        self._done = True
        _kept.discard(self)
        self._finish(self._status)


class _Kept:
    """Keeps messages, and so their memory, for as long as MPI uses it, also where a script has let go of them."""

    def __init__(self) -> None:
        self._messages: set[Message] = set()
        self._most = 1

    def add(self, message: Message) -> None:
        self._messages.add(message)
        if len(self._messages) >= self._most:
            self._messages = {each for each in self._messages if each.uses_memory()}
            self._most = 2 * len(self._messages) + 1  # so that many messages cost no more than a look or two each

    def discard(self, message: Message) -> None:
        self._messages.discard(message)


_kept = _Kept()


def isend(tensor: Any, dst: int, group: Group | None = None, tag: int = 0) -> Message | None:
    """Begin to send *tensor* to rank *dst* of the world, and return a message to wait for.

    Its memory lives until it has left, also if nobody keeps the message.
    """
    array = memory_of(tensor, "isend", changes=False)
    ranks = _with_others(group, "isend")
    if ranks is None:
        return None
    to = member_number(ranks, dst, "isend", "dst")
    piece, label = contiguous(array), _label(array)
    assert ranks.comm is not None
    with _in_one(label, piece) as message:
        request = ranks.comm.Isend(message, to, tag)
    # Both must live as long as the message is on its way, which `_kept` sees to.
    return Message(f"isend of {shown(array)}", request, ranks, partial(_keep, piece, label))


def irecv(tensor: Any, src: int | None = None, group: Group | None = None, tag: int = 0) -> Message | None:
    """Begin to receive into *tensor* what rank *src* of the world sends (default: any rank), and return the message."""
    array = memory_of(tensor, "irecv")
    ranks = _with_others(group, "irecv")
    if ranks is None:
        return None
    source = mpi().ANY_SOURCE if src is None else member_number(ranks, src, "irecv", "src")
    piece, label = contiguous(array), np.zeros(_LABEL_BYTES, np.uint8)

    def arrived(status: MPI.Status) -> None:
        if label.tobytes() != _label(array).tobytes():
            raise RuntimeError(
                f"recv: rank {ranks.ranks[status.Get_source()]} sent {label.tobytes().decode().strip()}, "
                f"but this Tensor is {shown(array)}"
            )
        put_back(piece, array)

    assert ranks.comm is not None
    with _in_one(label, piece) as message:
        request = ranks.comm.Irecv(message, source, tag)
    return Message(f"recv of {shown(array)}", request, ranks, arrived)


def send(tensor: Any, dst: int, group: Group | None = None, tag: int = 0) -> None:
    """Send *tensor* to rank *dst* of the world; returns when it may be changed.

    Raises ValueError where *dst* is this rank, which cannot receive meanwhile.
    """
    if dst == current().rank and current().size > 1:
        raise ValueError(
            f"send(dst={dst}): this is rank {dst} itself, and a large tensor would wait for ever: copy it, or use isend and irecv"
        )
    message = isend(tensor, dst, group, tag)
    if message is not None:
        message.wait()


def recv(tensor: Any, src: int | None = None, group: Group | None = None, tag: int = 0) -> int:
    """Receive into *tensor* what rank *src* of the world sends (default: any rank), and return which rank it was.

    Returns -1 on a rank outside of *group*. Raises RuntimeError when what comes has another dtype or shape.
    """
    message = irecv(tensor, src, group, tag)
    if message is None:
        return -1
    message.wait()
    return message.source_rank()


@dataclass(frozen=True)
class P2POp:
    """One message of a batch: *op* is `isend` or `irecv`, *peer* the other rank's number in the world."""

    op: Callable[..., Message | None]
    tensor: Any
    peer: int
    group: Group | None = None
    tag: int = 0


def batch_isend_irecv(p2p_op_list: Sequence[P2POp]) -> list[Message]:
    """Begin all messages of *p2p_op_list*, and return them to wait for, in any order: no two ranks block each other."""
    begun = [each.op(each.tensor, each.peer, each.group, each.tag) for each in p2p_op_list]
    return [message for message in begun if message is not None]


def send_object(value: object, dst: int, group: Group | None = None, tag: int = 0) -> None:
    """Send *value*, any object that pickles, to rank *dst* of the world."""
    ranks = _with_others(group, "send_object")
    if ranks is not None:
        assert ranks.control is not None
        ranks.control.send(value, member_number(ranks, dst, "send_object", "dst"), tag)


def recv_object(src: int | None = None, group: Group | None = None, tag: int = 0) -> Any:
    """Return the object that rank *src* of the world (default: any rank) sends to this one."""
    ranks = _with_others(group, "recv_object")
    if ranks is None:
        return None
    assert ranks.control is not None
    source = mpi().ANY_SOURCE if src is None else member_number(ranks, src, "recv_object", "src")
    return ranks.control.recv(source=source, tag=tag)


def _with_others(group: Group | None, name: str) -> Group | None:
    ranks = members(group, name)
    if ranks is not None and ranks.comm is None:
        raise RuntimeError(f"{name}: this rank is alone, and has nobody to send to or receive from")
    return ranks


def _label(array: Array) -> Array:
    return np.frombuffer(shown(array).encode()[:_LABEL_BYTES].ljust(_LABEL_BYTES), np.uint8)


@contextmanager
def _in_one(label: Array, piece: Array) -> Iterator[tuple[Any, int, MPI.Datatype]]:
    """Describe *label* and *piece* as one message, without copying either, until it has begun."""
    library = mpi()
    lengths = [label.nbytes, piece.nbytes]
    kind = library.BYTE.Create_hindexed(lengths, [library.Get_address(label), library.Get_address(as_bytes(piece))])
    try:
        yield library.BOTTOM, 1, kind.Commit()
    finally:
        kind.Free()


def _keep(*_: object) -> None:
    """Nothing is left to do; until here both parts of the message had to live."""
