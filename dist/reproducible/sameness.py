"""What the last bit of a floating-point result depends on besides the program: processor, libraries and threads."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

import allgrad

from ..communication.agreement import by_rank
from ..world import World

# How the BLAS libraries that NumPy comes with call what sets their number of threads, and what tells their kernels.
_SETTERS = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
    "MKL_Set_Num_Threads",
    "bli_thread_set_num_threads",
)
_CORE_NAMES = (
    "scipy_openblas_get_corename64_",
    "scipy_openblas_get_corename",
    "openblas_get_corename64_",
    "openblas_get_corename",
)


def use_one_thread() -> None:
    """Let matrix products and kernels run on one thread: with another number they round otherwise."""
    for library in _blas_libraries():
        for name in _SETTERS:
            setter = getattr(library, name, None)
            if setter is not None:
                setter(1)
    set_num_threads = getattr(allgrad, "set_num_threads", None)
    if set_num_threads is not None:
        set_num_threads(1)


def surroundings() -> dict[str, str]:
    """Return what results depend on to the bit, by name: equal values promise equal bits."""
    # MKL and numba choose by the processor too, and OpenBLAS also by the sizes of its caches: hence the model.
    return {
        "processor": _processor(),
        "NumPy": np.__version__,
        "BLAS": _blas(),
        "SIMD": " ".join(sorted(_simd())),
        "numba": _version("numba"),
        "scipy": _version("scipy"),
        "allgrad": allgrad.__version__,
    }


def require_sameness(world: World) -> None:
    """Raise RuntimeError on every rank, naming what differs and where, unless all ranks have the same surroundings."""
    if world.comm is None:
        return
    everyone = world.comm.allgather(surroundings())
    different = [name for name in everyone[0] if len({found[name] for found in everyone}) > 1]
    if different:
        found = "; ".join(f"{name}: {by_rank([one[name] for one in everyone])}" for name in different)
        # OpenBLAS tells which kernels it has chosen, by the processor or by this variable.
        kernels = "set OPENBLAS_CORETYPE alike on all of them, or " if different == ["BLAS"] else ""
        raise RuntimeError(
            f"DataParallel(virtual_shards=...): the ranks would not compute the same bits, as they differ in {found}: "
            f"{kernels}run on hosts of one type with the same packages, or without virtual_shards"
        )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith(("model name", "CPU part")):
                return f"{platform.machine()} {line.partition(':')[2].strip()}"
    return f"{platform.machine()} {platform.processor()}"


def _blas() -> str:
    configuration: Any = np.show_config(mode="dicts")
    found = configuration.get("Build Dependencies", {}).get("blas", {})
    return " ".join([found.get("name", "unknown"), found.get("version", ""), *_core_names()])


def _core_names() -> Iterator[str]:
    for library in _blas_libraries():
        for name in _CORE_NAMES:
            function = getattr(library, name, None)
            if function is not None:
                function.restype = ctypes.c_char_p
                yield function().decode()


def _blas_libraries() -> list[Any]:
    """The libraries of matrix products that are loaded: NumPy's, and where SciPy is in use its own."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return []
    files = {line.split(maxsplit=5)[-1] for line in maps.read_text().splitlines() if "/" in line}
    return [ctypes.CDLL(file) for file in sorted(files) if ".so" in file and _is_blas(Path(file).name)]


def _is_blas(name: str) -> bool:
    return any(part in name for part in ("blas", "mkl_rt", "blis"))


def _simd() -> list[str]:
    features = import_module("numpy._core._multiarray_umath").__cpu_features__
    return [name for name, present in features.items() if present]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"
