"""Modules that normalise within one example: groups of channels, single channels, by root mean square, by neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..operations.creation import empty
from ..operations.group_norms import group_norm, instance_norm, local_response_norm, rms_norm
from ..tensors.parameter import Parameter
from ..tensors.tensor import Tensor
from . import init
from .module import Module
from .normalization import _BatchNorm


class GroupNorm(Module):
    """Normalises (N, C, …) within *num_groups* groups of channels (Wu and He 2018).

    Args:
        num_groups: a divisor of *num_channels*.
        num_channels: C.
        eps: added to the variance.
        affine: learn a scale and a shift for each channel.
        bias: learn the shift, where *affine*.

    Raises:
        ValueError: groups that do not divide the channels.

    Example:
        >>> import allgrad as torch
        >>> torch.nn.GroupNorm(1, 2)(torch.tensor([[1.0, 3.0]])).detach()
        tensor([[-1.0000,  1.0000]])
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        options = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(empty(num_channels, **options)) if affine else None)
        self.register_parameter("bias", Parameter(empty(num_channels, **options)) if affine and bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew: scale 1, shift 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* with mean 0 and variance 1 in each group, scaled and shifted."""
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class _InstanceNorm(_BatchNorm):
    """Normalises each channel of each example; *dimensions* are those of a batch, one fewer those of an example."""

    dimensions: tuple[int]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* with mean 0 and variance 1 in each channel of each example, scaled and shifted."""
        batched = self.dimensions[0]
        if input.ndim not in (batched - 1, batched):
            raise ValueError(f"expected {batched - 1}D or {batched}D input (got {input.ndim}D input)")
        if input.ndim < batched:
            return self._normalized(input.unsqueeze(0)).squeeze(0)  # type: ignore[no-any-return]
        return self._normalized(input)

    def _normalized(self, input: Tensor) -> Tensor:
        if self.affine and input.shape[1] != self.num_features:
            raise ValueError(
                f"expected input's size at dim=1 to match num_features ({self.num_features}), but got: {input.shape[1]}."
            )
        by_example = self.training or not self.track_running_stats
        momentum = 0.0 if self.momentum is None else self.momentum
        return instance_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, by_example, momentum, self.eps
        )


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each sequence (N, C, L) or (C, L) (Ulyanov et al. 2016)."""

    dimensions = (3,)


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each image (N, C, H, W) or (C, H, W) (Ulyanov et al. 2016)."""

    dimensions = (4,)


class InstanceNorm3d(_InstanceNorm):
    """Normalises each channel of each volume (N, C, D, H, W) or (C, D, H, W) (Ulyanov et al. 2016)."""

    dimensions = (5,)


class RMSNorm(Module):
    """Divides by the root mean square over the last dimensions, *normalized_shape* (Zhang and Sennrich 2019).

    *eps* is by default the machine epsilon of the input's type; *elementwise_affine* learns a scale.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        made = empty(self.normalized_shape, device=device, dtype=dtype)
        self.register_parameter("weight", Parameter(made) if elementwise_affine else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Begin anew: scale 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* with mean square 1 over the last dimensions, scaled."""
        return rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Module):
    """Divides (N, C, …) by what *size* neighbouring channels hold (Krizhevsky et al. 2012)."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* divided by (k + alpha · the mean square of neighbouring channels) to the power of beta."""
        return local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """Divides images (N, C, H, W) by what as many channels on both sides hold: the older form of LocalResponseNorm."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input: Tensor) -> Tensor:
        """Return *input* divided by (k + alpha / size · the sum of the squares of those channels) to the power of beta."""
        width = 2 * ((self.size + 1) // 2) - 1
        return local_response_norm(input, width, self.alpha * width / self.size, self.beta, self.k)
