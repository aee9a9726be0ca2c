"""Compressed gradients: what each code keeps of numbers, and real ranks in programs/compression.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from allgrad import dist
from allgrad.dist.compression.codes import CHUNK, BrainCode, Code, ScaledCode
from allgrad.dist.compression.power_sgd import orthonormal, product
from allgrad.dist.compression.top_k import largest

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher

CODES: dict[str, Code] = {"bf16": BrainCode(), "fp16": ScaledCode(np.float16), "int8": ScaledCode(np.int8)}


def there_and_back(code: Code, values: Any) -> Any:
    written = np.zeros(code.length(values.size), np.uint8)
    code.write(values, written)
    found = np.empty_like(values)
    code.read(written, found)
    return found


@pytest.mark.parametrize(
    ("launcher", "ranks", "on_a_host"),
    [("openmpi", 2, 1), ("mpich", 2, 1), ("openmpi", 3, 2), ("mpich", 3, 1), ("openmpi", 4, 2), ("mpich", 4, 2)],
)
def test_every_way_keeps_its_promises_between_hosts(
    request: pytest.FixtureRequest, launcher: str, ranks: int, on_a_host: int
) -> None:
    mpi: Launcher = request.getfixturevalue(launcher)
    outcome = mpi.run(ranks, "compression.py", str(ranks), env={"ALLGRAD_RANKS_PER_WINDOW": str(on_a_host)})
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("done") == ranks


def test_a_world_of_one_rank_compresses_nothing(openmpi: Launcher) -> None:
    outcome = openmpi.run(1, "compression.py", "1", launcher=False)
    assert outcome.code == 0, outcome.output


@pytest.mark.parametrize("name", list(CODES))
@pytest.mark.parametrize("size", [1, 7, CHUNK, CHUNK + 1, 3 * CHUNK - 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_code_is_off_by_no_more_than_its_bound(name: str, size: int, dtype: Any) -> None:
    values = (np.random.default_rng(size).normal(size=size) * 10.0 ** np.linspace(-3, 3, size)).astype(dtype)
    found = there_and_back(CODES[name], values)
    chunks = np.array_split(np.arange(size), range(CHUNK, size, CHUNK))
    for chunk in chunks:
        largest_here = np.abs(values[chunk]).max()
        bound = {
            "bf16": np.abs(values[chunk]) * 2.0**-8,
            "fp16": np.maximum(np.abs(values[chunk]) * 2.0**-11, largest_here * 2.0**-38),
            "int8": largest_here / 254 * (1 + 1e-5),
        }[name]
        assert (np.abs(found[chunk] - values[chunk]) <= bound).all()


@pytest.mark.parametrize("name", list(CODES))
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf, np.uint32(0x7FFFFFFF).view(np.float32)])
def test_a_code_hides_nothing_that_is_not_finite(name: str, value: float) -> None:
    values = np.linspace(-2, 2, 2 * CHUNK + 3, dtype=np.float32)
    for at in (0, CHUNK, 2 * CHUNK + 2):
        spoiled = values.copy()
        spoiled[at] = value
        assert not np.isfinite(there_and_back(CODES[name], spoiled)[at])


@pytest.mark.parametrize("name", list(CODES))
def test_zero_stays_zero_and_the_extremes_of_float32_stay_finite(name: str) -> None:
    assert there_and_back(CODES[name], np.zeros(5, np.float32)).tolist() == [0] * 5
    for extreme in (3e38, 1e-38, 1e-44):
        found = there_and_back(CODES[name], np.array([extreme, -extreme / 2], np.float32))
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, [extreme, -extreme / 2], rtol=1e-2, atol=3e-38)


def test_brain_floats_are_rounded_as_ml_dtypes_does_it() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    values = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    values[:3] = 1 + 2.0**-8, 1 + 3 * 2.0**-8, np.float32(3.4e38)  # two halfway cases, and one that rounds to infinity
    expected = values.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(there_and_back(CODES["bf16"], values), expected)


def test_halves_are_rounded_as_a_cast_does_it() -> None:
    source = np.random.default_rng(0)
    values = (source.normal(size=20 * CHUNK) * 2.0 ** source.uniform(-34, 13, 20 * CHUNK)).astype(np.float32)
    values[::CHUNK] = 2.0**14  # the scale of each chunk is then 1
    values[1:6] = 1 + 2.0**-11, 1 + 3 * 2.0**-11, 2.0**-25, 3 * 2.0**-25, 2.0**-14 - 2.0**-25  # halfway, normal and not
    expected = np.clip(values, -(2.0**14), 2.0**14).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(there_and_back(CODES["fp16"], np.clip(values, -(2.0**14), 2.0**14)), expected)


def test_top_k_chooses_exactly_k_and_the_largest_even_among_equals() -> None:
    values = np.array([1.0, -5.0, 2.0, 2.0, 2.0, np.nan])
    for k in range(1, 7):
        chosen = largest(values, k)
        assert len(set(chosen.tolist())) == k
    assert largest(values, 2).tolist() == [1, 5]
    many = np.random.default_rng(0).normal(size=100_000)
    for row in (many, np.sort(many), np.round(many), np.zeros(100_000)):
        for k in (1, 100, 5000, 100_000):
            chosen = largest(row, k)
            assert len(set(chosen.tolist())) == k
            assert np.sort(np.abs(row[chosen]))[0] == np.sort(np.abs(row))[-k]
    many[17] = np.nan
    assert 17 in largest(many, 1).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_orthonormal_basis_spans_what_it_was_made_of_and_no_more(dtype: Any) -> None:
    source = np.random.default_rng(1)
    low = (source.normal(size=(30, 2)) @ source.normal(size=(2, 5))).astype(dtype)
    basis = orthonormal(low)
    used = basis[:, basis.any(axis=0)]
    assert used.shape[1] == 2
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(used.T @ used, np.eye(2), atol=tolerance)
    np.testing.assert_allclose(used @ (used.T @ low), low, atol=20 * tolerance)
    assert not orthonormal(np.zeros((4, 2), dtype)).any()
    assert np.isnan(orthonormal(np.full((4, 2), np.nan, dtype))).all()


def test_the_product_without_blas_is_the_product() -> None:
    source = np.random.default_rng(2)
    left, right = source.normal(size=(300, 3)), source.normal(size=(700, 3))
    out = np.empty((300, 700))
    product(left, right, out)
    np.testing.assert_allclose(out, left @ right.T, rtol=1e-12, atol=1e-12)


def test_options_without_meaning_are_refused() -> None:
    for fraction in (0, -0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"the part of the gradients that travels, above 0 and at most 1"):
            dist.TopK(fraction)
    for rank in (0, -1):
        with pytest.raises(ValueError, match=rf"PowerSGD\(rank={rank}\): an approximation has at least rank 1"):
            dist.PowerSGD(rank)
    with pytest.raises(ValueError, match=r"min_compression_rate=-1"):
        dist.PowerSGD(min_compression_rate=-1)
    assert repr(dist.PowerSGD(3, seed=7)) == "PowerSGD(rank=3, min_compression_rate=2, seed=7, everywhere=False)"
