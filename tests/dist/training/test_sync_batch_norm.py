"""Batch norm over the samples of all ranks: what one process can tell; test_data_parallel.py has several ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import dist, nn
from allgrad.optim import swa_utils


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d], ids=lambda kind: kind.__name__)
def test_a_batch_norm_of_any_dimensions_is_converted_with_its_state(kind: Any, bias: bool) -> None:
    plain = nn.Sequential(kind(2, eps=0.1, momentum=None, bias=bias))
    nn.init.uniform_(plain[0].weight)
    samples = torch.randn(3, 2, *(2,) * (kind(2).dimensions[0] - 2))
    plain(samples)
    converted: Any = dist.SyncBatchNorm.convert_sync_batchnorm(
        nn.Sequential(kind(2, eps=0.1, momentum=None, bias=bias))
    )
    assert isinstance(converted[0], dist.SyncBatchNorm)
    converted.load_state_dict(plain.state_dict())
    for model in (plain, converted):
        model(2 * samples)
    np.testing.assert_allclose(
        converted(samples).detach().numpy(), plain(samples).detach().numpy(), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(converted[0].running_var.numpy(), plain[0].running_var.numpy(), rtol=1e-5)
    np.testing.assert_allclose(
        converted.eval()(samples).numpy(force=True), plain.eval()(samples).numpy(force=True), rtol=1e-4
    )


def test_one_that_has_seen_no_batch_cannot_be_converted() -> None:
    with pytest.raises(ValueError, match="it has seen no batch; call the model once"):
        dist.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.LazyBatchNorm1d()))


def test_instance_norm_stays_what_it_is() -> None:
    assert type(dist.SyncBatchNorm.convert_sync_batchnorm(nn.InstanceNorm1d(2))) is nn.InstanceNorm1d


def test_its_statistics_can_be_computed_anew_for_averaged_weights() -> None:
    norm = dist.SyncBatchNorm(1)
    norm.running_mean.fill_(100.0)
    swa_utils.update_bn([torch.tensor([[1.0], [3.0]])], norm)
    assert norm.running_mean.item() == pytest.approx(2.0)


def test_a_group_of_ranks_is_refused_in_a_step_of_virtual_shards() -> None:
    norm = dist.SyncBatchNorm(2, process_group=dist.new_group([0]))
    parallel = dist.DataParallel(norm, virtual_shards=2)
    with pytest.raises(ValueError, match="leave process_group out"):
        parallel.backward(lambda x: parallel(x).mean(), torch.randn(4, 2))
