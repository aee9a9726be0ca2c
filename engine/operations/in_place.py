"""The methods that change a tensor, as functions of it: ``torch.exp_(x)`` is ``x.exp_()``."""

# fmt: off
from __future__ import annotations

from typing import Any

from ..tensors.tensor import Tensor


def _function(name: str) -> Any:
    """The method *name* as a function."""

    def function(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        changed: Tensor = getattr(input, name)(*args, **kwargs)
        return changed

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"``input.{name}(…)``: change input in place, and return it."
    return function


_NAMES = (
    "abs_", "acos_", "acosh_", "addmv_", "arccos_", "arccosh_", "arcsin_", "arcsinh_", "arctan_", "arctanh_",
    "asin_", "asinh_", "atan_", "atanh_", "as_strided_", "ceil_", "clamp_", "clamp_max_", "clamp_min_",
    "clip_", "conj_physical_", "cos_", "cosh_", "deg2rad_", "detach_", "erf_", "erfc_", "exp2_", "exp_",
    "expm1_", "fill_", "fix_", "floor_", "frac_", "gcd_", "i0_", "index_put_", "lcm_", "ldexp_", "log10_",
    "log1p_", "log2_", "log_", "logit_", "nan_to_num_", "neg_", "negative_", "rad2deg_", "reciprocal_",
    "resize_as_", "round_", "rsqrt_", "sigmoid_", "sin_", "sinc_", "sinh_", "sqrt_", "square_", "tan_",
    "tanh_", "trunc_", "xlogy_", "zero_",
)
(
    abs_, acos_, acosh_, addmv_, arccos_, arccosh_, arcsin_, arcsinh_, arctan_, arctanh_, asin_, asinh_,
    atan_, atanh_, as_strided_, ceil_, clamp_, clamp_max_, clamp_min_, clip_, conj_physical_, cos_, cosh_,
    deg2rad_, detach_, erf_, erfc_, exp2_, exp_, expm1_, fill_, fix_, floor_, frac_, gcd_, i0_, index_put_,
    lcm_, ldexp_, log10_, log1p_, log2_, log_, logit_, nan_to_num_, neg_, negative_, rad2deg_, reciprocal_,
    resize_as_, round_, rsqrt_, sigmoid_, sin_, sinc_, sinh_, sqrt_, square_, tan_, tanh_, trunc_, xlogy_,
    zero_,
) = map(_function, _NAMES)
