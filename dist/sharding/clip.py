"""The norm of gradients of which each rank holds a share, and how they are held in bounds by it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

import allgrad
from allgrad import Tensor
from allgrad.nn.utils.gradients import hold_norm

from ..communication.agreement import agree
from ..world import Group, mpi
from .shares import Array


def total_norm(shares: Sequence[Array], group: Group, norm_type: float, what: str) -> float:
    """Return the norm of all elements that the ranks of *group* hold in their *shares*, the same on all of them.

    In double precision, by one message of 8 bytes.
    """
    power = float(norm_type)
    norms = [float(np.linalg.norm(share.reshape(-1), power)) for share in shares if share.size]
    if power == math.inf:
        found = np.array([max(norms, default=0.0)])
        operation = "MAX"
    else:
        found = np.array([sum(norm**power for norm in norms)])
        operation = "SUM"
    agree(group, f"{what}(norm_type={norm_type})")
    if group.comm is not None:
        group.comm.Allreduce(mpi().IN_PLACE, found, op=getattr(mpi(), operation))
    total = float(found[0])
    return total if power == math.inf or not math.isfinite(total) else total ** (1 / power)


def clip(arrays: Sequence[Array], total: float, max_norm: float, *, error_if_nonfinite: bool) -> Tensor:
    """Scale *arrays*, whose norm is *total* over all ranks, so that it is at most *max_norm*; return *total*.

    RuntimeError if it is not finite and *error_if_nonfinite*.
    """
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"the norm of the gradients over all ranks is {total}, so they cannot be clipped: skip this step, or scale "
            "by it all the same with error_if_nonfinite=False"
        )
    hold_norm(arrays, total, float(max_norm))
    dtype = arrays[0].dtype if arrays else np.dtype(np.float32)
    return allgrad.from_numpy(np.asarray(total, dtype))
