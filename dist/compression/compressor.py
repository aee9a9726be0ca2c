"""Compression at work in one `DataParallel`: where it takes its place, and what a checkpoint keeps of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..training.buckets import Bucket, Slot
from ..training.reducer import rows_of_means
from ..training.rows import Reduction
from .compressed_sum import CompressedSum
from .method import Array, Compression, require_real
from .state import kept, take_back

if TYPE_CHECKING:
    from mpi4py import MPI

    from allgrad import Tensor


class Compressor:
    """Lays out buckets whose sum over the hosts, or over all ranks, is taken with *compression*."""

    def __init__(self, compression: Compression) -> None:
        self.compression = compression
        self.sum: CompressedSum | None = None
        """On a rank that exchanges with other hosts."""
        self.members: Sequence[Sequence[Slot]] = ()

    def lay_out(self, comm: MPI.Intracomm, members: Sequence[Sequence[Slot]]) -> tuple[Sequence[Bucket], Reduction]:
        """Return buckets of *members*, and what reduces them."""
        self.members = members
        return rows_of_means(comm, members, between=self._between, apart=self.compression.everywhere)

    def state(self, rank: int) -> list[dict[str, Any]] | None:
        """Return what a checkpoint keeps, of which this rank, number *rank*, has its own part; all ranks call this."""
        return kept(self.sum, self.members, rank)

    def load(self, saved: Sequence[dict[str, Any]]) -> None:
        """Go on where *saved* was; what was not sent then is dropped where nothing is compressed now."""
        if self.sum is not None:
            take_back(self.sum, self.members, saved)

    def _between(self, rows: Sequence[Array], comm: MPI.Intracomm, scale: float) -> Reduction:
        self.sum = CompressedSum(rows, comm, scale, self.members, self.compression)
        return self.sum


def compressor_for(
    compression: Compression,
    parameters: Sequence[tuple[str, Tensor]],
    *,
    virtual_shards: int | None,
    shard_gradients: bool,
) -> Compressor:
    """Return what compresses the gradients of *parameters*, pairs of name and leaf.

    Raises TypeError and ValueError for what `DataParallel` cannot compress, as documented there.
    """
    if not isinstance(compression, Compression):
        raise TypeError(
            f"DataParallel(compression={compression!r}): expected dist.FP16(), BF16(), Int8(), TopK() or PowerSGD()"
        )
    if virtual_shards is not None or shard_gradients:
        other = "shard_gradients" if shard_gradients else "virtual_shards"
        raise ValueError(
            f"DataParallel(compression={compression!r}, {other}=...): with {other} gradients travel in another way, as they "
            "are: leave one of the two out"
        )
    require_real(compression, [Slot(name, tuple(p.shape), p.detach().numpy().dtype) for name, p in parameters])
    return Compressor(compression)
