"""Results that do not depend on the number of threads: asked for by ``use_deterministic_algorithms``."""

from __future__ import annotations

import warnings

from .threads import can_be_set, keep_serial

_WITHOUT_BLAS = (
    "use_deterministic_algorithms(True): the BLAS library that NumPy uses here cannot be kept on one thread from inside. "
    "Start the program with OPENBLAS_NUM_THREADS=1, MKL_NUM_THREADS=1 or VECLIB_MAXIMUM_THREADS=1"
)


class _State:
    enabled = False
    warn_only = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Let every operation give the same bits for any number of threads from now on (*mode* True), or no longer.

    Without it results are the same for the same seed and the same number of threads: nothing here sums in the order in
    which threads happen to finish. With it, matrix products and decompositions run on one thread, the only place where
    their number shows: OpenBLAS cuts a product differently for one thread and for two. That costs up to the number of
    threads in time for large matrices, and nothing where they used one anyway.

    RuntimeError (with *warn_only* a UserWarning) where the BLAS library cannot be told.

    >>> import allgrad as torch
    >>> torch.use_deterministic_algorithms(True)
    >>> torch.are_deterministic_algorithms_enabled()
    True
    >>> torch.use_deterministic_algorithms(False)
    """
    if mode and not can_be_set():
        if not warn_only:
            raise RuntimeError(_WITHOUT_BLAS)
        warnings.warn(_WITHOUT_BLAS, UserWarning, stacklevel=2)
    _State.enabled, _State.warn_only = bool(mode), bool(mode and warn_only)
    keep_serial(_State.enabled)


def are_deterministic_algorithms_enabled() -> bool:
    """Whether ``use_deterministic_algorithms(True)`` holds."""
    return _State.enabled


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether it holds, and was asked to warn only."""
    return _State.warn_only


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """The same by PyTorch's other names: "default" (0), "warn" (1) or "error" (2). RuntimeError for anything else."""
    names = ("default", "warn", "error")
    if debug_mode not in (*names, 0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected one of 'default', 'warn', 'error', 0, 1, 2, but got {debug_mode!r}"
        )
    level = names.index(debug_mode) if isinstance(debug_mode, str) else debug_mode
    use_deterministic_algorithms(level > 0, warn_only=level == 1)


def get_deterministic_debug_mode() -> int:
    """0 for "default", 1 for "warn", 2 for "error"."""
    return int(_State.enabled) + int(_State.enabled and not _State.warn_only)
