"""Where tensors live: the CPU, and the names PyTorch scripts ask about accelerators."""

from __future__ import annotations

from typing import Any


class device:  # noqa: N801 -- PyTorch's name
    """The place of a tensor's memory; here always the CPU.

    *type* is ``"cpu"`` (optionally ``"cpu:0"``) or another device. RuntimeError for anything else, since no
    accelerator is reachable from NumPy.

    >>> import allgrad as torch
    >>> torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device(type='cpu')
    """

    __slots__ = ("index", "type")

    def __init__(self, type: str | device, index: int | None = None) -> None:
        if isinstance(type, device):
            self.type: str = type.type
            self.index: int | None = type.index
            return
        name, _, number = str(type).partition(":")
        if name != "cpu":
            raise RuntimeError(
                f"device {str(type)!r} was asked for, but allgrad computes on the CPU only: "
                "use torch.device('cpu'), or guard it with torch.cuda.is_available()"
            )
        self.type = name
        self.index = int(number) if number else index

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (str(self),)


CPU = device("cpu")
