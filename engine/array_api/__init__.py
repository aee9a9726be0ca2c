"""The Python array API standard, 2024.12, on tensors: ``xp = x.__array_namespace__()`` for programs written against it.

The main namespace follows PyTorch's names and argument words; this one the standard's. Tensors are the same, and so are
gradients: functions record where their tensors do.

>>> import allgrad as torch
>>> from allgrad import array_api as xp
>>> x = torch.tensor([3.0, 4.0], requires_grad=True)
>>> xp.linalg.vector_norm(x).backward(); x.grad
tensor([0.6000, 0.8000])
"""

# ruff: noqa: A004 -- the standard's names are Python's too

from __future__ import annotations

from math import e, inf, nan, pi

import numpy as np

from ..devices import device
from ..dtypes import bool_ as bool
from ..dtypes import (
    complex64,
    complex128,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from . import adapted, fft, linalg
from .creation import (
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    linspace,
    meshgrid,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from .inspection import __array_namespace_info__, astype, can_cast, finfo, iinfo, isdtype, result_type
from .lifting import lifted

__array_api_version__ = "2024.12"
newaxis = None

# each element
abs = lifted(np.abs)
acos = lifted(np.acos)
acosh = lifted(np.acosh)
add = lifted(np.add)
asin = lifted(np.asin)
asinh = lifted(np.asinh)
atan = lifted(np.atan)
atan2 = lifted(np.atan2)
atanh = lifted(np.atanh)
bitwise_and = lifted(np.bitwise_and)
bitwise_invert = lifted(np.bitwise_invert)
bitwise_left_shift = lifted(np.bitwise_left_shift)
bitwise_or = lifted(np.bitwise_or)
bitwise_right_shift = lifted(np.bitwise_right_shift)
bitwise_xor = lifted(np.bitwise_xor)
ceil = lifted(np.ceil)
clip = lifted(adapted.clip)
conj = lifted(np.conj)
copysign = lifted(np.copysign)
cos = lifted(np.cos)
cosh = lifted(np.cosh)
divide = lifted(np.divide)
equal = lifted(np.equal)
exp = lifted(np.exp)
expm1 = lifted(adapted.exponential_less_one)
floor = lifted(np.floor)
floor_divide = lifted(adapted.quotient_rounded_down)
greater = lifted(np.greater)
greater_equal = lifted(np.greater_equal)
hypot = lifted(np.hypot)
imag = lifted(np.imag)
isfinite = lifted(np.isfinite)
isinf = lifted(np.isinf)
isnan = lifted(np.isnan)
less = lifted(np.less)
less_equal = lifted(np.less_equal)
log = lifted(np.log)
log10 = lifted(np.log10)
log1p = lifted(np.log1p)
log2 = lifted(np.log2)
logaddexp = lifted(np.logaddexp)
logical_and = lifted(np.logical_and)
logical_not = lifted(np.logical_not)
logical_or = lifted(np.logical_or)
logical_xor = lifted(np.logical_xor)
maximum = lifted(np.maximum)
minimum = lifted(np.minimum)
multiply = lifted(np.multiply)
negative = lifted(np.negative)
nextafter = lifted(np.nextafter)
not_equal = lifted(np.not_equal)
positive = lifted(np.positive)
pow = lifted(np.pow)
real = lifted(np.real)
reciprocal = lifted(np.reciprocal)
remainder = lifted(np.remainder)
round = lifted(np.round)
sign = lifted(np.sign)
signbit = lifted(np.signbit)
sin = lifted(np.sin)
sinh = lifted(np.sinh)
sqrt = lifted(np.sqrt)
square = lifted(np.square)
subtract = lifted(np.subtract)
tan = lifted(np.tan)
tanh = lifted(np.tanh)
trunc = lifted(np.trunc)

# shapes
broadcast_arrays = lifted(np.broadcast_arrays, listed=True)
broadcast_to = lifted(np.broadcast_to)
concat = lifted(np.concat)
expand_dims = lifted(np.expand_dims)
flip = lifted(np.flip)
moveaxis = lifted(np.moveaxis)
permute_dims = lifted(np.permute_dims)
repeat = lifted(np.repeat)
reshape = lifted(np.reshape)
roll = lifted(np.roll)
squeeze = lifted(np.squeeze)
stack = lifted(np.stack)
tile = lifted(np.tile)
unstack = lifted(np.unstack)

# sums and extremes
all = lifted(np.all)
any = lifted(np.any)
count_nonzero = lifted(np.count_nonzero)
cumulative_prod = lifted(np.cumulative_prod)
cumulative_sum = lifted(np.cumulative_sum)
diff = lifted(np.diff)
max = lifted(np.max)
mean = lifted(np.mean)
min = lifted(np.min)
prod = lifted(np.prod)
std = lifted(np.std)
sum = lifted(np.sum)
var = lifted(np.var)

# searching, sorting, sets
argmax = lifted(np.argmax)
argmin = lifted(np.argmin)
argsort = lifted(adapted.argsort)
nonzero = lifted(np.nonzero)
searchsorted = lifted(np.searchsorted)
sort = lifted(adapted.sort)
take = lifted(np.take)
take_along_axis = lifted(np.take_along_axis)
unique_all = lifted(np.unique_all)
unique_counts = lifted(np.unique_counts)
unique_inverse = lifted(np.unique_inverse)
unique_values = lifted(np.unique_values)
where = lifted(np.where)

# linear algebra
matmul = lifted(np.matmul)
matrix_transpose = lifted(np.matrix_transpose)
tensordot = lifted(np.tensordot)
vecdot = lifted(np.vecdot)


__all__ = [
    "__array_api_version__",
    "__array_namespace_info__",
    "abs",
    "acos",
    "acosh",
    "add",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "asarray",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "bool",
    "broadcast_arrays",
    "broadcast_to",
    "can_cast",
    "ceil",
    "clip",
    "complex64",
    "complex128",
    "concat",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "count_nonzero",
    "cumulative_prod",
    "cumulative_sum",
    "device",
    "diff",
    "divide",
    "e",
    "empty",
    "empty_like",
    "equal",
    "exp",
    "expand_dims",
    "expm1",
    "eye",
    "fft",
    "finfo",
    "flip",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "from_dlpack",
    "full",
    "full_like",
    "greater",
    "greater_equal",
    "hypot",
    "iinfo",
    "imag",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "isdtype",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "linalg",
    "linspace",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "matmul",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "meshgrid",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "nan",
    "negative",
    "newaxis",
    "nextafter",
    "nonzero",
    "not_equal",
    "ones",
    "ones_like",
    "permute_dims",
    "pi",
    "positive",
    "pow",
    "prod",
    "real",
    "reciprocal",
    "remainder",
    "repeat",
    "reshape",
    "result_type",
    "roll",
    "round",
    "searchsorted",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sort",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "tril",
    "triu",
    "trunc",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "unstack",
    "var",
    "vecdot",
    "where",
    "zeros",
    "zeros_like",
]
