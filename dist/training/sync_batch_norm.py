"""Batch norm over the samples of all ranks, or in the reproducible mode of all virtual shards."""

from __future__ import annotations

from typing import Any

import numpy as np

import allgrad
from allgrad import Tensor, nn
from allgrad.autograd import Function
from allgrad.nn.normalization import _BatchNorm

from ..communication.groups import require_lasting_member
from ..reproducible.turns import sum_over_all
from ..world import Group


class SyncBatchNorm(_BatchNorm):
    """Normalises each channel of (N, C, …) by the mean and variance over the samples of all ranks.

    As torch.nn.SyncBatchNorm. In the reproducible mode of `DataParallel` the statistics are those of all virtual shards,
    added along the tree: the same bits on any number of ranks. A world of one rank has its own samples alone, and so has
    every rank while not training.

    Args:
        num_features: C.
        eps: added to the variance (default 1e-5).
        momentum: how fast the running statistics follow (default 0.1); None for their plain mean.
        affine: learn a scale and a shift (default True).
        track_running_stats: keep running statistics, which count when not training (default True).
        process_group: the ranks over whose samples (`dist.new_group`), this one among them; default: all. Not in the
            reproducible mode.
        device, dtype: of the parameters and statistics.
        bias: learn a shift as well, if *affine* (default True).

    >>> import allgrad as torch
    >>> from allgrad import dist
    >>> norm = dist.SyncBatchNorm(2)
    >>> norm(torch.tensor([[1.0, 2.0], [3.0, 2.0]])).round(decimals=3).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Group | None = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        if process_group is not None:
            require_lasting_member(process_group, "SyncBatchNorm")
        self.process_group = process_group

    @classmethod
    def convert_sync_batchnorm(cls, module: nn.Module, process_group: Group | None = None) -> nn.Module:
        """Return *module* with a `SyncBatchNorm` in the place of each batch norm in it, of the same state.

        Raises ValueError for a lazy one that does not know its channels yet.
        """
        if isinstance(module, nn.LazyBatchNorm1d | nn.LazyBatchNorm2d | nn.LazyBatchNorm3d):
            raise ValueError(f"cannot convert {module}: it has seen no batch; call the model once before converting it")
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | SyncBatchNorm):
            how = module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
            made = cls(*how, process_group)
            made._parameters.update(module._parameters)
            made._buffers.update(module._buffers)
            return made.train(module.training)
        for name, child in list(module.named_children()):
            setattr(module, name, cls.convert_sync_batchnorm(child, process_group))
        return module

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* with mean 0 and variance 1 per channel, scaled and shifted."""
        if input.ndim < 2:
            raise ValueError(f"expected at least 2D input (got {input.ndim}D input)")
        if not self.training:
            by_batch = self.running_mean is None
            return nn.functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, by_batch, 0.0, self.eps
            )
        dims = (0, *range(2, input.ndim))
        column = (1, -1) + (1,) * (input.ndim - 2)
        here = input.numel() // input.shape[1]
        found = self._sum_over_all(allgrad.cat([input.sum(dims), allgrad.full((1,), float(here), dtype=input.dtype)]))
        count = float(found[-1].item())
        if count <= 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
        mean = found[:-1] / count
        centred = input - mean.reshape(column)
        variance = self._sum_over_all((centred * centred).sum(dims)) / count
        self._follow(mean.detach(), variance.detach() * (count / (count - 1)))
        result: Tensor = centred * (variance + self.eps).rsqrt().reshape(column)
        if self.weight is not None:
            result = result * self.weight.reshape(column)
        return result if self.bias is None else result + self.bias.reshape(column)

    def _sum_over_all(self, values: Tensor) -> Tensor:
        return _SumOverAll.apply(values, self.process_group)  # type: ignore[no-any-return]

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats:
            return
        with allgrad.no_grad():
            self.num_batches_tracked.add_(1)
            momentum = 1.0 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
            self.running_var.mul_(1 - momentum).add_(variance, alpha=momentum)


class _SumOverAll(Function):
    """The sum over all shards or ranks, each of which gets the sum of all gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, group: Group | None) -> Tensor:
        ctx.group = group
        return allgrad.from_numpy(sum_over_all(values.numpy(), group))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return allgrad.from_numpy(sum_over_all(np.ascontiguousarray(gradient.detach().numpy()), ctx.group)), None
