"""The switches of CUDA, which is not there: they may be set, and change nothing."""

from __future__ import annotations


class _Switches:
    """Attributes that scripts set."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _Switches()


def is_built() -> bool:
    """False: allgrad computes on the CPU."""
    return False
