"""What a tensor is: its shape, its type, and how it lies in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..devices import CPU, device
from ..memory_formats import channels_last, channels_last_3d, contiguous_format, layout, memory_format, strided
from .size import Size

Array = np.ndarray[Any, Any]


class Attributes:
    """What can be asked of the array behind a tensor."""

    __slots__ = ()

    _array: Array

    is_cpu = True
    is_cuda = is_mps = is_xpu = is_xla = is_meta = is_sparse = is_sparse_csr = is_quantized = is_nested = is_mkldnn = (
        False
    )

    @property
    def shape(self) -> Size:
        """The length along each dimension."""
        return Size(self._array.shape)

    @property
    def dtype(self) -> dtypes.dtype:
        """The element type."""
        return dtypes.from_numpy_dtype(self._array.dtype)

    @property
    def device(self) -> device:
        """Where the memory is: the CPU."""
        return CPU

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    @property
    def itemsize(self) -> int:
        """The size of an element in bytes."""
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        """The size of all elements in bytes."""
        return self._array.nbytes

    @property
    def layout(self) -> layout:
        """How the elements are stored: ``torch.strided``."""
        return strided

    @property
    def name(self) -> None:
        """None: tensors have no names."""
        return None

    def size(self, dim: int | None = None) -> Any:
        """The shape, or its length along *dim*."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    nelement = numel

    def element_size(self) -> int:
        """The size of an element in bytes."""
        return self._array.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """The steps between neighbours along each dimension (or *dim*), in elements."""
        steps = tuple(s // self._array.itemsize for s in self._array.strides)
        return steps if dim is None else steps[dim]

    def storage_offset(self) -> int:
        """Where in its memory the first element is, in elements."""
        owner = self._array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        first = [array.__array_interface__["data"][0] for array in (self._array, owner)]
        return int(first[0] - first[1]) // self._array.itemsize

    def is_contiguous(self, memory_format: memory_format = contiguous_format) -> bool:
        """Whether the elements lie in memory without gaps, in row-major order or that of *memory_format*."""
        if memory_format in (channels_last, channels_last_3d):
            dims = 4 if memory_format is channels_last else 5
            return self._array.ndim == dims and bool(np.moveaxis(self._array, 1, -1).flags.c_contiguous)
        return bool(self._array.flags.c_contiguous)

    def is_same_size(self, other: Attributes) -> bool:
        """Whether *other* has the same shape."""
        return bool(self._array.shape == other._array.shape)

    def is_nonzero(self) -> bool:
        """Whether the only element is not zero. RuntimeError if there is not exactly one."""
        if self._array.size != 1:
            count = "more than one value" if self._array.size else "no values"
            raise RuntimeError(f"Boolean value of Tensor with {count} is ambiguous, for shape {list(self.shape)}")
        return bool(self._array.item())

    def get_device(self) -> int:
        """-1: the number of the CPU."""
        return -1

    def is_conj(self) -> bool:
        """False: conjugates are computed at once."""
        return False

    def is_neg(self) -> bool:
        """False: negatives are computed at once."""
        return False

    def is_pinned(self, device: Any = None) -> bool:
        """False: memory is pinned for accelerators only."""
        return False

    def is_shared(self) -> bool:
        """False; forked processes share memory copy-on-write."""
        return False

    def data_ptr(self) -> int:
        """The address of the first element."""
        return int(self._array.__array_interface__["data"][0])

    def is_floating_point(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the elements are complex numbers."""
        return self.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the elements can be negative."""
        return self.dtype.is_signed
