"""How the rows of tests/data/operations.tsv are called that no sample of the registry shows: variants, ranges, queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import allgrad as torch
from allgrad.registry.samples import Samples, around, on, positive, real, truth, whole

Calls = tuple[str | Callable[..., Any], Samples]


def _of(name: str | Callable[..., Any], *args: Any, **kwargs: Any) -> Calls:
    """Calls of the function called *name* (of the row, if it is empty), or of a function made for the row."""
    return name, on(*args, **kwargs)


def _reflected(name: str, *args: Any) -> Calls:
    return _of(lambda *operands: getattr(torch.Tensor, name)(*operands), *args)


def _method(name: str, *args: Any, **kwargs: Any) -> Calls:
    return _of(lambda self, *rest, **named: getattr(self, name)(*rest, **named), *args, **kwargs)


def _drawn(name: str, *parameters: float) -> Calls:
    return _of(lambda self: getattr(self, name)(*parameters), real(3))


_COUNTS = np.array([0.0, 1.0, 1.0, 3.0])
_PAIR = (whole(4, below=9), whole(4, below=9))
_BITS = (np.array([1, 2, 3]), np.array([1, 0, 2]))


def _complex(*shape: int) -> Callable[[Any], Any]:
    return lambda generator: real(*shape)(generator) + 1j * real(*shape)(generator)


def _symmetric(n: int) -> Callable[[Any], Any]:
    def make(generator: Any) -> Any:
        a = real(n, n)(generator)
        return a @ a.T + n * np.eye(n)

    return make


_APART = (real(3, 4), real(3, 4, low=-1.7))  # no element of one equals one of the other
_INDEX = np.array([0, 2, 0])

VARIANTS: dict[str, Calls] = {
    "addmm/decomposed": _of("addmm", real(3, 2), real(3, 4), real(4, 2), beta=0.5, alpha=2.0),
    "div/no_rounding_mode": _of("div", real(3, 4), positive(4)),
    "div/trunc_rounding": _of("div", real(3, 4), positive(4), rounding_mode="trunc"),
    "div/floor_rounding": _of("div", real(3, 4), positive(4), rounding_mode="floor"),
    "linspace/tensor_overload": _of("linspace", np.array(0.0), np.array(1.0), 5),
    "logspace/tensor_overload": _of("logspace", np.array(0.0), np.array(1.0), 5),
    "max/reduction_with_dim": _of("max", real(3, 4), 1),
    "max/reduction_no_dim": _of("max", real(3, 4)),
    "max/binary": _of("max", *_APART),
    "min/reduction_with_dim": _of("min", real(3, 4), 1),
    "min/reduction_no_dim": _of("min", real(3, 4)),
    "min/binary": _of("min", *_APART),
    "var_mean/unbiased": _of("var_mean", real(3, 4), 1, unbiased=True),
    "std_mean/unbiased": _of("std_mean", real(3, 4), 1, unbiased=True),
    "std/unbiased": _of("std", real(3, 4), 1, unbiased=True),
    "var/unbiased": _of("var", real(3, 4), 1, unbiased=True),
    "meshgrid/variadic_tensors": _of("meshgrid", real(3), real(2), indexing="ij"),
    "meshgrid/list_of_tensors": _of("meshgrid", [real(3), real(2)], indexing="ij"),
    "softmax/with_dtype": _of("softmax", real(3, 4), 1, dtype=torch.float64),
    "log_softmax/with_dtype": _of("log_softmax", real(3, 4), 1, dtype=torch.float64),
    "nn.functional.softmin/with_dtype": _of("", real(3, 4), 1, dtype=torch.float64),
    "nn.functional.pad/constant": _of("", real(2, 3, 4), (1, 2), mode="constant", value=2.0),
    "nn.functional.pad/reflect": _of("", real(2, 3, 4), (1, 2), mode="reflect"),
    "nn.functional.pad/replicate": _of("", real(2, 3, 4), (1, 2), mode="replicate"),
    "nn.functional.pad/replicate_negative": _of("", real(2, 3, 5), (-1, 2), mode="replicate"),
    "nn.functional.pad/circular": _of("", real(2, 3, 4), (1, 2), mode="circular"),
    "nn.functional.interpolate/nearest": _of("", real(1, 2, 3), 5, mode="nearest"),
    "nn.functional.interpolate/nearest-exact": _of("", real(1, 2, 3), 5, mode="nearest-exact"),
    "nn.functional.interpolate/linear": _of("", real(1, 2, 3), 5, mode="linear"),
    "nn.functional.interpolate/bilinear": _of("", real(1, 2, 3, 2), (4, 3), mode="bilinear"),
    "nn.functional.interpolate/bicubic": _of("", real(1, 1, 3, 4), (5, 6), mode="bicubic"),
    "nn.functional.interpolate/trilinear": _of("", real(1, 1, 2, 3, 2), (3, 4, 3), mode="trilinear"),
    "nn.functional.interpolate/area": _of("", real(1, 2, 6), 3, mode="area"),
    "nn.functional.max_unpool1d/grad": _of("", real(1, 1, 2), np.array([[[1, 2]]]), 2),
    "nn.functional.max_unpool2d/grad": _of("", real(1, 1, 1, 2), np.array([[[[1, 6]]]]), 2),
    "nn.functional.max_unpool3d/grad": _of("", real(1, 1, 1, 1, 2), np.array([[[[[1, 14]]]]]), 2),
    "nn.functional.silu/complex": _of("", _complex(3)),
    "nn.functional.batch_norm/without_cudnn": _of(
        "", real(3, 2), np.zeros(2), np.ones(2), real(2), real(2), training=True
    ),
    "nn.functional.feature_alpha_dropout/with_train": _of("", real(2, 3, 4), 0.5, training=True),
    "nn.functional.feature_alpha_dropout/without_train": _of("", real(2, 3, 4), 0.5, training=False),
    "mvlgamma/mvlgamma_p_1": _of("mvlgamma", real(3, low=2.1, high=4.0), 1),
    "mvlgamma/mvlgamma_p_3": _of("mvlgamma", real(3, low=2.1, high=4.0), 3),
    "mvlgamma/mvlgamma_p_5": _of("mvlgamma", real(3, low=2.1, high=4.0), 5),
    "round/decimals_0": _of("round", real(3), decimals=0),
    "round/decimals_3": _of("round", np.array([0.12345, 2.34567]), decimals=3),
    "round/decimals_neg_3": _of("round", np.array([1234.5, 8765.4]), decimals=-3),
    "split/list_args": _of("split", real(5, 2), [2, 3]),
    "index_reduce/mean": _of("index_reduce", real(3, 2), 0, _INDEX, positive(3, 2), "mean"),
    "index_reduce/prod": _of("index_reduce", positive(3, 2), 0, _INDEX, positive(3, 2), "prod"),
    "index_reduce/amin": _of("index_reduce", real(3, 2), 0, _INDEX, real(3, 2, low=-1.0), "amin"),
    "index_reduce/amax": _of("index_reduce", real(3, 2), 0, _INDEX, real(3, 2, low=-1.0), "amax"),
    "normal/in_place": _drawn("normal_", 1.0, 2.0),
    "normal/number_mean": _of("normal", 1.0, positive(3)),
    "squeeze/multiple": _of("squeeze", real(1, 3, 1), (0, 2)),
    "norm/nuc": _of("norm", real(3, 4), "nuc"),
    "norm/fro": _of("norm", real(3, 4), "fro"),
    "norm/inf": _of("norm", real(3, 4), float("inf")),
    "linalg.norm/subgradients_at_zero": _of("linalg.norm", real(3, 4)),
    "linalg.matrix_rank/hermitian": _of("linalg.matrix_rank", _symmetric(3), hermitian=True),
    "linalg.pinv/hermitian": (
        "linalg.pinv", around(lambda f: lambda a: f(a + a.mT, hermitian=True), on(_symmetric(3))),
    ),
    **{f"polygamma/polygamma_n_{n}": _of("polygamma", n, positive(3)) for n in range(5)},
    "special.polygamma/special_polygamma_n_0": _of("special.polygamma", 0, positive(3)),
    **{
        f"scatter_reduce/{how}": _of(
            "scatter_reduce", positive(3, 2), 0, np.array([[0, 2], [0, 1]]), positive(2, 2), how
        )
        for how in ("sum", "prod", "mean", "amin", "amax")
    },
}  # fmt: skip

DRAWN: dict[str, Calls] = {
    "cauchy": _drawn("cauchy_"),
    "exponential": _drawn("exponential_", 2.0),
    "geometric": _drawn("geometric_", 0.5),
    "log_normal": _drawn("log_normal_", 0.0, 1.0),
    "uniform": _drawn("uniform_", -1.0, 1.0),
    "randn": _of("", 2, 3),
    "randint": _of("", 0, 5, (3,)),
    "normal": _of("", real(3), positive(3)),
    "randn_like": _of("", real(3)),
    "rand_like": _of("", real(3)),
    "randint_like": _of("", real(3), 0, 5),
    "multinomial": _of("", positive(4), 2),
    "bernoulli": _of("", np.array([0.1, 0.5, 0.9])),
    "nn.functional.dropout": _of("", real(3, 4), 0.5, training=True),
}

MADE: dict[str, Calls] = {
    "arange": _of("", 1, 10, 2),
    "linspace": _of("", 0.0, 1.0, 5),
    "logspace": _of("", 0.0, 1.0, 5),
    "ones": _of("", 2, 3),
    "zeros": _of("", 2, 3),
    "full": _of("", (2, 3), 1.5),
    "empty": _of("", 2, 3),
    "empty_strided": _of("", (2, 3), (3, 1)),
    "eye": _of("", 3),
    "scalar_tensor": _of("", 2.5),
    "empty_like": _of("", real(3)),
    "zeros_like": _of("", real(3)),
    "ones_like": _of("", real(3)),
    "full_like": _of("", real(3), 2.0),
    "new_zeros": _of("", real(3), (2, 3)),
    "new_ones": _of("", real(3), (2, 3)),
    "new_empty": _of("", real(3), (2, 3)),
    "new_empty_strided": _of("", real(3), (2, 3), (3, 1)),
    "new_full": _of("", real(3), (2, 3), 2.0),
    "triu_indices": _of("", 3, 3),
    "tril_indices": _of("", 3, 3),
    **{
        f"signal.windows.{name}": _of("", 6)
        for name in ("hamming", "hann", "bartlett", "blackman", "cosine", "exponential", "kaiser", "nuttall")
    },
    "signal.windows.gaussian": _of("", 6, std=0.9),
    "signal.windows.general_cosine": _of("", 6, a=[0.5, 0.3, 0.2]),
    "signal.windows.general_hamming": _of("", 6, alpha=0.6),
}

COMPARED: dict[str, Calls] = {
    **{name: _of("", real(3, 4), real(4)) for name in ("eq", "ne", "lt", "le", "gt", "ge", "isclose")},
    **{name: _of("", truth(4), truth(4)) for name in ("logical_and", "logical_or", "logical_xor")},
    **{name: _of("", *_PAIR) for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "lcm")},
    **{name: _of("", real(3)) for name in ("isfinite", "isinf", "isposinf", "isneginf", "isreal", "isnan", "signbit")},
    **{name: _of("", real(3, 4), 1) for name in ("argmax", "argmin", "count_nonzero", "argsort")},
    **{name: _of("", truth(3, 4), 1) for name in ("all", "any")},
    "bitwise_not": _of("", whole(4, below=9)),
    "logical_not": _of("", truth(4)),
    "bitwise_left_shift": _of("", *_BITS),
    "bitwise_right_shift": _of("", *_BITS),
    "heaviside": _of("", real(3), real(3)),
    "allclose": _of("", real(3), real(3)),
    "equal": _of("", real(3), real(3)),
    "isin": _of("", whole(4, below=9), whole(2, below=9)),
    "broadcast_shapes": _of("", (2, 1), (3,)),
    "item": _method("item", real(1)),
    "unique": _of("", _COUNTS),
    "unique_consecutive": _of("", _COUNTS),
    "unravel_index": _of("", np.array([5, 7]), (3, 4)),
    "histogram": _of("", real(6), 3),
    "histogramdd": _of("", real(6, 2), [2, 2]),
    "histc": _of("", real(6), 3),
    "bincount": _of("", whole(5, below=4)),
    "bucketize": _of("", real(4), np.array([-1.0, 0.0, 1.0])),
    "searchsorted": _of("", np.array([-1.0, 0.0, 1.0]), real(4)),
    "nonzero": _of("", _COUNTS),
    "argwhere": _of("", _COUNTS),
    "nn.functional.one_hot": _of("", whole(3, below=4), 4),
    "masked.argmax": _of("", real(3, 4), 1),
    "masked.argmin": _of("", real(3, 4), 1),
}

RESHAPED: dict[str, Calls] = {
    "expand": _method("expand", real(3, 1), 3, 2),
    "expand_as": _method("expand_as", real(3, 1), np.zeros((3, 2), dtype=np.int64)),
    "reshape_as": _method("reshape_as", real(3, 4), np.zeros((2, 6), dtype=np.int64)),
    "view_as": _method("view_as", real(3, 4), np.zeros((2, 6), dtype=np.int64)),
    "view": _method("view", real(3, 4), 2, 6),
    "repeat": _method("repeat", real(3), 2, 2),
    "as_strided": _of("", real(6), (2, 2), (2, 1)),
    "as_strided_copy": _of("", real(6), (2, 2), (2, 1)),
    "as_strided_scatter": _of("", real(6), real(2, 2), (2, 2), (2, 1)),
    "__getitem__": _method("__getitem__", real(3, 4), (slice(None), np.array([0, 2]))),
    **{name: _of(lambda self, name=name: getattr(self, name), real(3, 4)) for name in ("T", "mT", "H", "mH")},
    "zero_": _of(lambda self: self.clone().zero_(), real(3)),
    "to": _method("to", real(3), torch.float64),
    "view_as_real": _of("", _complex(3)),
    "view_as_complex": _of("", real(3, 2)),
    "real": _of("", _complex(3)),
    "imag": _of("", _complex(3)),
    **{
        name: _method(name, real(3))
        for name in ("bool", "byte", "char", "double", "float", "int", "long", "short", "cdouble", "cfloat")
    },
}

COMPUTED: dict[str, Calls] = {
    "maximum": _of("", *_APART),
    "minimum": _of("", *_APART),
    "addr": _of("", real(3, 4), real(3), real(4), beta=0.5),
    "addmv": _of("", real(3), real(3, 4), real(4), beta=0.5),
    "baddbmm": _of("", real(2, 3, 2), real(2, 3, 4), real(2, 4, 2), beta=0.5),
    "dist": _method("dist", real(3), real(3)),
    "float_power": _of("", positive(3), real(3)),
    **{name: _reflected(name, real(3), real(3)) for name in ("__radd__", "__rmul__", "__rsub__", "__rdiv__")},
    **{name: _reflected(name, *_PAIR) for name in ("__rand__", "__ror__", "__rxor__")},
    "__rmatmul__": _reflected("__rmatmul__", real(3, 2), real(2, 3)),
    "__rmod__": _reflected("__rmod__", positive(3), 2.5),
    "__rpow__": _reflected("__rpow__", real(3), 2.5),
    "geqrf": _of("", real(3, 3)),
    "linalg.ldl_factor": _of("", _symmetric(3)),
    "linalg.ldl_factor_ex": _of("", _symmetric(3)),
    "linalg.ldl_solve": (
        "",
        around(lambda f: lambda a, b: f(*torch.linalg.ldl_factor(a), b), on(_symmetric(3), real(3, 2))),
    ),
    "linalg.matrix_rank": _of("", real(3, 4)),
    "masked.log_softmax": _of("", real(3, 4), 1),
    "special.ndtri": _of("", np.array([0.2, 0.5, 0.7])),
}

CALLS: dict[str, Calls] = VARIANTS | DRAWN | MADE | COMPARED | RESHAPED | COMPUTED
