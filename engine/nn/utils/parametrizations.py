"""Ready parametrizations: weights with a norm of their own, of spectral norm 1, and orthogonal ones."""

from __future__ import annotations

from typing import Any, TypeVar

from ...dtypes import finfo
from ...operations.comparison import allclose
from ...operations.householder import geqrf, householder_product
from ...operations.linear import mv
from ...operations.normalization import normalize
from ...operations.products import matrix_exp
from ...operations.random_tensors import randn
from ...operations.ranges import eye
from ...operations.shape import cat
from ...operations.solving import solve
from ...operations.tensor_products import vdot
from ...tape.mode import no_grad
from ...tensors.tensor import Tensor
from ..module import Module
from .parametrize import register_parametrization
from .spectral_norm import as_matrix, default_dim
from .weight_norm import norm_except_dim, scaled

M = TypeVar("M", bound=Module)
_MAPS = ("matrix_exp", "cayley", "householder")


def _weight_of(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


class _WeightNorm(Module):
    """The direction of one tensor with the norms of another."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, norms: Tensor, direction: Tensor) -> Tensor:
        """Return the weight."""
        return scaled(direction, norms, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the norms and the direction of *weight*."""
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Train the norms of a weight, ``original0``, apart from its direction, ``original1`` (Salimans and Kingma 2016).

    *dim* is the dimension whose slices have a norm each (default 0), None for one norm of all. A state saved with the
    older ``nn.utils.weight_norm`` can be loaded.

    Example:
        >>> import allgrad as torch
        >>> layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(20, 40))
        >>> layer.parametrizations.weight.original0.shape
        torch.Size([40, 1])
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def take_older_names(module: Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        for old, new in (("g", 0), ("v", 1)):
            if f"{prefix}{name}_{old}" in state:
                state[f"{prefix}parametrizations.{name}.original{new}"] = state.pop(f"{prefix}{name}_{old}")

    module.register_load_state_dict_pre_hook(take_older_names)
    return module


class _SpectralNorm(Module):
    """A weight over its greatest singular value, which is estimated by power iteration."""

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{weight.ndim}, {weight.ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % weight.ndim
        self.eps = eps
        self.n_power_iterations = n_power_iterations
        if weight.ndim > 1:
            with no_grad():
                matrix = as_matrix(weight, self.dim)
                for side, size in zip(("_u", "_v"), matrix.shape, strict=True):
                    self.register_buffer(side, normalize(randn(size, dtype=weight.dtype), dim=0, eps=eps))
                self._iterate(matrix, 15)

    def _iterate(self, matrix: Tensor, times: int) -> None:
        with no_grad():
            for _ in range(times):
                self._u.copy_(normalize(mv(matrix, self._v), dim=0, eps=self.eps))
                self._v.copy_(normalize(mv(matrix.mH, self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        """Return *weight* over its norm; in training after another iteration."""
        if weight.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)  # type: ignore[no-any-return]
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        return weight / vdot(self._u.clone(), mv(matrix, self._v.clone()))  # type: ignore[no-any-return]

    def right_inverse(self, value: Tensor) -> Tensor:
        """Return *value*: its norm may not be 1, which the next reading mends."""
        return value


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide a weight by its greatest singular value, estimated by power iteration (Miyato et al. 2018).

    Args:
        module: has the weight.
        name: of the weight (default "weight").
        n_power_iterations: iterations at each reading while training (default 1).
        eps: guards against division by 0 (default 1e-12).
        dim: the dimension of the outputs; by default 0, and 1 for transposed convolutions.

    Example:
        >>> import allgrad as torch
        >>> layer = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(20, 40))
        >>> norm = torch.linalg.matrix_norm(layer.weight, 2)
        >>> bool(0.8 < norm < 1.2)
        True
    """
    dim = default_dim(module) if dim is None else dim
    return register_parametrization(module, name, _SpectralNorm(_weight_of(module, name), n_power_iterations, dim, eps))


class _Orthogonal(Module):
    """An orthogonal matrix by a map from all matrices, and relative to a fixed one, ``base``, if *trivialised*."""

    base: Tensor

    def __init__(self, weight: Tensor, by: str, trivialised: bool) -> None:
        super().__init__()
        if weight.is_complex() and by == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = by
        self.trivialised = trivialised
        if trivialised:
            self.register_buffer("base", None)

    def forward(self, matrix: Tensor) -> Tensor:
        """Return a matrix with orthonormal columns, or rows if it is wide."""
        is_wide = matrix.shape[-2] < matrix.shape[-1]
        tall = matrix.mT if is_wide else matrix
        found = _by_reflections(tall) if self.orthogonal_map == "householder" else self._by_rotation(tall)
        if self.trivialised:
            found = self.base @ found
        return found.mT if is_wide else found

    def _by_rotation(self, matrix: Tensor) -> Tensor:
        """Map the skew-symmetric matrix of the lower triangle to an orthogonal one."""
        rows, columns = matrix.shape[-2:]
        lower = matrix.tril()
        if rows != columns:
            lower = cat([lower, lower.new_zeros((*lower.shape[:-1], rows - columns))], dim=-1)
        skew = lower - lower.mH
        if self.orthogonal_map == "matrix_exp":
            found: Tensor = matrix_exp(skew)
        else:
            identity = eye(rows, dtype=skew.dtype)
            found = solve(identity - skew / 2, identity + skew / 2)
        return found[..., :columns]

    @no_grad()
    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return what maps to *weight*; take it as the base if trivialised."""
        if weight.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {weight.shape}."
            )
        is_wide = weight.shape[-2] < weight.shape[-1]
        tall = weight.mT if is_wide else weight
        if not self.trivialised:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                    "use_trivialization=False."
                )
            found = _reflections_of(tall)
            return found.mT if is_wide else found
        rows, columns = tall.shape[-2:]
        if rows != columns:
            rest = randn((*tall.shape[:-1], rows - columns), dtype=tall.dtype)
            self.base = _nearest_orthogonal(cat([tall, rest], dim=-1))
        else:
            self.base = tall.clone() if _is_orthogonal(tall) else _nearest_orthogonal(tall)
        return -eye(weight.shape[-2], weight.shape[-1], dtype=weight.dtype).expand(weight.shape).clone()  # type: ignore[no-any-return]


def _by_reflections(matrix: Tensor) -> Tensor:
    """Return the product of Householder reflections below the diagonal, whose signs the diagonal holds."""
    vectors = matrix.tril(-1)
    factors = 2.0 / (1.0 + (vectors * vectors).sum(dim=-2))
    signs = matrix.diagonal(dim1=-2, dim2=-1).int()
    return householder_product(vectors, factors) * signs.unsqueeze(-2)  # type: ignore[no-any-return]


def _reflections_of(matrix: Tensor) -> Tensor:
    """Return what ``_by_reflections`` makes *matrix* of."""
    found, factors = geqrf(matrix)
    diagonal = found.diagonal(dim1=-2, dim2=-1)
    diagonal.sign_()
    diagonal[factors == 0.0] *= -1
    return found  # type: ignore[no-any-return]


def _nearest_orthogonal(matrix: Tensor) -> Tensor:
    """Return the Q of the QR decomposition whose R has a positive diagonal."""
    reflectors, factors = geqrf(matrix)
    return householder_product(reflectors, factors) * reflectors.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)  # type: ignore[no-any-return]


def _is_orthogonal(matrix: Tensor) -> bool:
    identity = eye(matrix.shape[-1], dtype=matrix.dtype).expand(*matrix.shape[:-2], -1, -1)
    return allclose(matrix.mH @ matrix, identity, atol=10.0 * matrix.shape[-2] * finfo(matrix.dtype).eps)


def orthogonal(
    module: M, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> M:
    """Keep a matrix, or a batch of them, orthogonal: with orthonormal columns, or rows if it is wide.

    Args:
        module: has the weight.
        name: of the weight (default "weight").
        orthogonal_map: "matrix_exp", "cayley" or "householder"; by default the first for square and complex matrices,
            the last for others.
        use_trivialization: map relative to the weight at hand, so that one can assign to it (Lezcano-Casado 2019).

    Raises:
        ValueError: no such weight, one without two dimensions, or an unknown map.

    Example:
        >>> import allgrad as torch
        >>> layer = torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(3, 5))
        >>> torch.allclose(layer.weight.T @ layer.weight, torch.eye(3), atol=1e-5)
        True
    """
    weight = _weight_of(module, name)
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        is_square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if is_square or weight.is_complex() else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)
