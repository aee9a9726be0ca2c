"""What ordinary scripts ask of ``torch.cuda``: there is none, and these say so."""

from __future__ import annotations

from typing import Any

from . import amp as amp  # torch.cuda.amp.GradScaler()


def is_available() -> bool:
    """False: allgrad computes on the CPU."""
    return False


def device_count() -> int:
    """0: allgrad computes on the CPU."""
    return 0


def manual_seed(seed: int) -> None:
    """Do nothing: there is no accelerator to seed."""


def manual_seed_all(seed: int) -> None:
    """Do nothing: there is no accelerator to seed."""


def empty_cache() -> None:
    """Do nothing: there is no accelerator memory."""


def synchronize() -> None:
    """Do nothing: every operation has finished when its call returns."""


def is_initialized() -> bool:
    """False: there is no accelerator."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no accelerator."""
    return False


def memory_allocated(device: Any = None) -> int:
    """0: there is no accelerator memory."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Do nothing: there is no accelerator memory."""


def current_device() -> int:
    """AssertionError, as PyTorch without CUDA raises: guard it with ``torch.cuda.is_available()``."""
    raise AssertionError("allgrad computes on the CPU only: guard this with torch.cuda.is_available()")


def set_device(device: Any) -> None:
    """AssertionError, as PyTorch without CUDA raises: guard it with ``torch.cuda.is_available()``."""
    current_device()


def get_device_name(device: Any = None) -> str:
    """AssertionError, as PyTorch without CUDA raises: guard it with ``torch.cuda.is_available()``."""
    return str(current_device())


def get_device_properties(device: Any = None) -> Any:
    """AssertionError, as PyTorch without CUDA raises: guard it with ``torch.cuda.is_available()``."""
    return current_device()
