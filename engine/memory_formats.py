"""The names of PyTorch's memory formats and layouts."""

from __future__ import annotations


class memory_format:  # noqa: N801 -- PyTorch's name
    """An order of dimensions in memory. Functions accept it; arrays keep NumPy's row-major order."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"


class layout(memory_format):  # noqa: N801 -- PyTorch's name
    """How the elements are stored: here always as a dense array."""


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
strided = layout("strided")
