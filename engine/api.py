"""The public names of allgrad, grouped like a table of contents."""

# mypy: implicit-reexport
# ruff: noqa: A004, F401 -- these are PyTorch's names, some of them Python's too; every name here without an underscore is public
from math import e, inf, nan, pi

from . import amp, autograd, backends, compiler, cuda, func, jit, operations, random, testing, version
from .amp import GradScaler, autocast
from .autograd import (
    check_finite,
    enable_grad,
    forward_ad,  # torch.autograd.forward_ad, without an import of its own
    inference_mode,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_anomaly_enabled,
    set_grad_enabled,
)
from .autograd.inspection import memory
from .compiler import compile
from .determinism import (
    are_deterministic_algorithms_enabled,
    get_deterministic_debug_mode,
    is_deterministic_algorithms_warn_only_enabled,
    set_deterministic_debug_mode,
    use_deterministic_algorithms,
)
from .devices import device
from .dtypes import (
    bfloat16,
    can_cast,
    complex64,
    complex128,
    dtype,
    finfo,
    float16,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .dtypes import (
    bool_ as bool,
)
from .dtypes import (
    complex64 as cfloat,
)
from .dtypes import (
    complex128 as cdouble,
)
from .dtypes import (
    float16 as half,
)
from .dtypes import (
    float32 as float,
)
from .dtypes import (
    float64 as double,
)
from .dtypes import (
    int16 as short,
)
from .dtypes import (
    int32 as int,
)
from .dtypes import (
    int64 as long,
)
from .func import vmap
from .kernels.memory import keep_freed_memory as _keep_freed_memory
from .memory_formats import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    strided,
)
from .operations.adaptive_pooling import adaptive_avg_pool1d
from .operations.adaptive_pooling import adaptive_max_pool1d_with_indices as adaptive_max_pool1d
from .operations.angles import (
    acosh,
    angle,
    asinh,
    atan2,
    atanh,
    deg2rad,
    hypot,
    rad2deg,
    sinc,
)
from .operations.angles import (
    acosh as arccosh,
)
from .operations.angles import (
    asinh as arcsinh,
)
from .operations.angles import (
    atan2 as arctan2,
)
from .operations.angles import (
    atanh as arctanh,
)
from .operations.arithmetic import (
    add,
    div,
    floor_divide,
    fmod,
    mul,
    pow,
    remainder,
    rsub,
    sub,
)
from .operations.arithmetic import (
    div as divide,
)
from .operations.arithmetic import (
    div as true_divide,
)
from .operations.arithmetic import (
    mul as multiply,
)
from .operations.arithmetic import (
    sub as subtract,
)
from .operations.binary_losses import binary_cross_entropy_with_logits
from .operations.comparison import (
    allclose,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    clamp,
    eq,
    equal,
    ge,
    gt,
    isclose,
    le,
    logical_and,
    logical_or,
    logical_xor,
    lt,
    maximum,
    minimum,
    ne,
    where,
)
from .operations.comparison import (
    clamp as clip,
)
from .operations.comparison import (
    ge as greater_equal,
)
from .operations.comparison import (
    gt as greater,
)
from .operations.comparison import (
    le as less_equal,
)
from .operations.comparison import (
    lt as less,
)
from .operations.comparison import (
    ne as not_equal,
)
from .operations.complexes import (
    adjoint,
    complex,
    polar,
    view_as_complex,
    view_as_real,
)
from .operations.conversion import (
    clone,
    conj,
    fill,
    imag,
    real,
    result_type,
)
from .operations.conversion import (
    conj as conj_physical,
)
from .operations.conversion import (
    conj as resolve_conj,
)
from .operations.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_tbc,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from .operations.copies import (
    alias_copy,
    as_strided_copy,
    detach_copy,
    diagonal_copy,
    expand_copy,
    narrow_copy,
    permute_copy,
    repeat_interleave,
    select_copy,
    split_copy,
    split_with_sizes_copy,
    squeeze_copy,
    t_copy,
    transpose_copy,
    unbind_copy,
    unfold_copy,
    unsqueeze_copy,
    view_copy,
)
from .operations.counting import (
    bucketize,
    histc,
    histogram,
    histogramdd,
    isin,
    searchsorted,
    unique,
    unique_consecutive,
)
from .operations.covariance import (
    corrcoef,
    cov,
)
from .operations.creation import (
    as_tensor,
    asarray,
    empty,
    empty_like,
    empty_strided,
    from_dlpack,
    from_numpy,
    frombuffer,
    full,
    full_like,
    ones,
    ones_like,
    scalar_tensor,
    tensor,
    zeros,
    zeros_like,
)
from .operations.determinants import det, slogdet
from .operations.diagonal import (
    diag,
    diag_embed,
    diagflat,
    diagonal,
    trace,
    tril_indices,
    triu_indices,
)
from .operations.distances import cdist, cosine_similarity, pairwise_distance, pdist, renorm
from .operations.dropouts import alpha_dropout, dropout, feature_alpha_dropout, feature_dropout
from .operations.elementwise import (
    abs,
    acos,
    asin,
    atan,
    bitwise_not,
    ceil,
    cos,
    cosh,
    exp,
    exp2,
    expm1,
    floor,
    isfinite,
    isinf,
    isnan,
    log,
    log1p,
    log2,
    log10,
    logical_not,
    neg,
    positive,
    reciprocal,
    relu,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    tan,
    tanh,
    trunc,
)
from .operations.elementwise import (
    abs as absolute,
)
from .operations.elementwise import (
    acos as arccos,
)
from .operations.elementwise import (
    asin as arcsin,
)
from .operations.elementwise import (
    atan as arctan,
)
from .operations.elementwise import (
    neg as negative,
)
from .operations.elementwise import (
    trunc as fix,
)
from .operations.embeddings import embedding
from .operations.extremes import amax, amin, argmax, argmin, max, min
from .operations.floating import (
    copysign,
    frac,
    frexp,
    heaviside,
    isneginf,
    isposinf,
    isreal,
    ldexp,
    nan_to_num,
    nextafter,
    sgn,
    signbit,
)
from .operations.gamma import digamma, igamma, igammac, lgamma, mvlgamma, polygamma
from .operations.gathering import gather, scatter, scatter_add, take_along_dim
from .operations.grid_sampling import grid_sampler, grid_sampler_2d, grid_sampler_3d
from .operations.group_norms import group_norm, instance_norm, rms_norm
from .operations.householder import geqrf, ormqr
from .operations.householder import householder_product as orgqr
from .operations.in_place import (
    abs_,
    acos_,
    acosh_,
    addmv_,
    arccos_,
    arccosh_,
    arcsin_,
    arcsinh_,
    arctan_,
    arctanh_,
    as_strided_,
    asin_,
    asinh_,
    atan_,
    atanh_,
    ceil_,
    clamp_,
    clamp_max_,
    clamp_min_,
    clip_,
    conj_physical_,
    cos_,
    cosh_,
    deg2rad_,
    detach_,
    erf_,
    erfc_,
    exp2_,
    exp_,
    expm1_,
    fill_,
    fix_,
    floor_,
    frac_,
    gcd_,
    i0_,
    index_put_,
    lcm_,
    ldexp_,
    log1p_,
    log2_,
    log10_,
    log_,
    logit_,
    nan_to_num_,
    neg_,
    negative_,
    rad2deg_,
    reciprocal_,
    resize_as_,
    round_,
    rsqrt_,
    sigmoid_,
    sin_,
    sinc_,
    sinh_,
    sqrt_,
    square_,
    tan_,
    tanh_,
    trunc_,
    xlogy_,
    zero_,
)
from .operations.indexing import (
    argwhere,
    bincount,
    index_select,
    masked_fill,
    masked_select,
    nonzero,
    unravel_index,
)
from .operations.integers import (
    bitwise_left_shift,
    bitwise_right_shift,
    gcd,
    lcm,
)
from .operations.joining import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    block_diag,
    broadcast_shapes,
    broadcast_tensors,
    cartesian_prod,
    column_stack,
    combinations,
    dsplit,
    dstack,
    hsplit,
    hstack,
    meshgrid,
    split_with_sizes,
    tensor_split,
    vsplit,
    vstack,
)
from .operations.joining import (
    vstack as row_stack,
)
from .operations.linear import (
    addmm,
    bmm,
    dot,
    einsum,
    matmul,
    mm,
    mv,
    outer,
)
from .operations.linear import (
    outer as ger,
)
from .operations.logarithms import (
    float_power,
    logaddexp,
    logaddexp2,
    logit,
    xlogy,
)
from .operations.loss import (
    log_softmax,
    softmax,
)
from .operations.lu_factors import lu_unpack
from .operations.mixing import (
    addcdiv,
    addcmul,
    clamp_max,
    clamp_min,
    fmax,
    fmin,
    lerp,
)
from .operations.normalization import layer_norm
from .operations.older_linalg import (
    chain_matmul,
    cholesky,
    cholesky_inverse,
    cholesky_solve,
    cross,
    logdet,
    lu,
    lu_solve,
    pinverse,
    qr,
    svd,
    triangular_solve,
)
from .operations.ordering import argsort, sort, topk
from .operations.padding import constant_pad_nd
from .operations.pooling import (
    avg_pool1d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool3d,
)
from .operations.products import matrix_exp, matrix_power
from .operations.quantiles import (
    nanquantile,
    quantile,
)
from .operations.random_tensors import (
    bernoulli,
    binomial,
    multinomial,
    normal,
    poisson,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
)
from .operations.ranges import arange, eye, linspace, logspace, range
from .operations.rearranging import (
    flip,
    fliplr,
    flipud,
    roll,
    rot90,
    tile,
    tril,
    triu,
)
from .operations.rectifiers import (
    celu,
    celu_,
    hardshrink,
    prelu,
    relu_,
    rrelu,
    rrelu_,
    selu,
    selu_,
    threshold,
    threshold_,
)
from .operations.recurrent_cells import gru_cell, lstm_cell, rnn_relu_cell, rnn_tanh_cell
from .operations.reduction import (
    all,
    any,
    count_nonzero,
    cumprod,
    cumsum,
    logsumexp,
    mean,
    norm,
    prod,
    std,
    sum,
    var,
)
from .operations.scan import (
    cummax,
    cummin,
    cumulative_trapezoid,
    diff,
    gradient,
    logcumsumexp,
    trapezoid,
)
from .operations.scan import (
    trapezoid as trapz,
)
from .operations.scatter_reductions import (
    index_reduce,
    scatter_reduce,
)
from .operations.scattering import (
    index_add,
    index_copy,
    index_fill,
    index_put,
    masked_scatter,
    put,
    take,
)
from .operations.shape import (
    broadcast_to,
    cat,
    chunk,
    flatten,
    movedim,
    narrow,
    permute,
    ravel,
    reshape,
    select,
    split,
    squeeze,
    stack,
    t,
    transpose,
    unbind,
    unflatten,
    unsqueeze,
)
from .operations.shape import cat as concat
from .operations.shape import cat as concatenate
from .operations.shape import movedim as moveaxis
from .operations.shape import transpose as swapaxes
from .operations.shape import transpose as swapdims
from .operations.shuffles import channel_shuffle, native_channel_shuffle, pixel_shuffle, pixel_unshuffle
from .operations.solving import inv as inverse
from .operations.special import erf, erfc, erfinv, i0
from .operations.spectrogram import istft, stft
from .operations.statistics import (
    aminmax,
    kthvalue,
    median,
    mode,
    msort,
    nanmean,
    nanmedian,
    nansum,
    std_mean,
    var_mean,
)
from .operations.strides import (
    as_strided,
    as_strided_scatter,
    diagonal_scatter,
    select_scatter,
    slice_scatter,
)
from .operations.tensor_products import (
    addbmm,
    addmv,
    addr,
    baddbmm,
    bilinear,
    inner,
    kron,
    tensordot,
    vdot,
)
from .operations.vandermonde import vander
from .operations.windows import bartlett_window, blackman_window, hamming_window, hann_window, kaiser_window
from .random import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from .serialization import load, save
from .settings import (
    get_default_device,
    get_float32_matmul_precision,
    is_warn_always_enabled,
    set_default_device,
    set_default_tensor_type,
    set_float32_matmul_precision,
    set_flush_denormal,
    set_warn_always,
)
from .tensors.inspection import (
    get_device,
    is_complex,
    is_conj,
    is_floating_point,
    is_inference,
    is_neg,
    is_nonzero,
    is_same_size,
    is_signed,
    is_tensor,
    numel,
    typename,
)
from .tensors.printing import get_printoptions, printoptions, set_printoptions
from .tensors.size import Size
from .tensors.tensor import Tensor
from .tensors.typed import (
    BFloat16Tensor,
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
from .threads import get_num_interop_threads, get_num_threads, set_num_interop_threads, set_num_threads
from .torch_names import as_torch

newaxis = None

_keep_freed_memory()
