"""DataParallel over the devices of one machine, of which there is one: the module itself under a name."""

from __future__ import annotations

from typing import Any

from .module import Module


class DataParallel(Module):
    """Calls *module*, as PyTorch's does without accelerators; its state's names begin with "module.".

    For training on several cores or machines see ``allgrad.dist.DataParallel``.

    Args:
        module: what is called.
        device_ids: None or empty: there are no accelerators.
        output_device: None.
        dim: the dimension of the examples, not needed here.

    Example:
        >>> import allgrad as torch
        >>> list(torch.nn.DataParallel(torch.nn.Linear(1, 1)).state_dict())
        ['module.weight', 'module.bias']
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        if device_ids:
            raise RuntimeError(
                f"DataParallel was asked for the devices {list(device_ids)}, but allgrad computes on the CPU only: leave "
                "device_ids=None, or use allgrad.dist.DataParallel on several ranks"
            )
        self.module = module
        self.dim = dim
        self.device_ids: list[int] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Return what the module computes."""
        return self.module(*inputs, **kwargs)
