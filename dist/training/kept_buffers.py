"""A module's buffers as they were before a step in which a rank may die, so that the step can be computed again."""

from __future__ import annotations

import numpy as np

import allgrad
from allgrad import nn

from .buckets import Array


class KeptBuffers:
    """What a forward pass changes of *module* before anybody has agreed on the step: running statistics, and counts."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._step: int | None = None
        self._copies: dict[str, Array] = {}

    def keep(self, step: int) -> None:
        """Copy all buffers, unless it has been done in this *step*, which is counted by steps that were agreed on."""
        if self._step != step:
            self._step = step
            self._copies = {name: np.array(tensor.numpy()) for name, tensor in self._module.named_buffers()}

    def put_back(self, step: int) -> None:
        """Undo what has become of the buffers in this *step*."""
        if self._step == step:
            with allgrad.no_grad():
                for name, tensor in self._module.named_buffers():
                    if name in self._copies:
                        tensor.copy_(allgrad.from_numpy(self._copies[name]))
