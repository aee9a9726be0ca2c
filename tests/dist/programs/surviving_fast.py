"""Train in the fast mode while ranks are killed; every rank writes down the samples of each step that has counted.

Arguments: a folder for these lists, and who is killed when: RANK:STEP:PLACE ...
"""

import hashlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import allgrad as torch
from allgrad import dist, nn
from allgrad.utils.data import DataLoader, TensorDataset

FOLDER, DEATHS = Path(sys.argv[1]), [tuple(death.split(":")) for death in sys.argv[2:]]
BATCH, STEPS_OF_EPOCH, EPOCHS = 12, 4, 3


def die(step: int, place: str) -> None:
    if (ME, str(step), place) in DEATHS:
        print(f"killed {time.time()}", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    torch.manual_seed(0)
    features = torch.randn(BATCH * STEPS_OF_EPOCH, 6)
    data = TensorDataset(features, features.sum(1, keepdim=True), torch.arange(len(features)))
    model = nn.Sequential(nn.Linear(6, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 1))
    # Buckets of one parameter: some are reduced when a rank dies, and others are not.
    parallel = dist.DataParallel(model, bucket_cap_mb=1e-6, first_bucket_mb=1e-6)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    sampler = dist.DistributedBatchSampler(data, batch_size=BATCH, seed=2)
    loader = DataLoader(data, batch_sampler=sampler)
    step, times = 0, []
    model[0].weight.register_hook(lambda gradient: die(step, "inside"))
    with (FOLDER / ME).open("w", buffering=1) as counted:
        for epoch in range(EPOCHS):
            sampler.set_epoch(epoch)
            for batch in dist.elastic_steps(loader):
                with batch as (inputs, wanted, numbers):
                    die(step, "before")
                    optimizer.zero_grad()
                    nn.functional.mse_loss(parallel(inputs), wanted).backward()
                    optimizer.step()
                    for number in numbers.tolist():
                        counted.write(f"{step} {number}\n")
                    step += 1
                    times.append(time.time())
                    die(step, "after")
    assert step == int(model[1].num_batches_tracked) == EPOCHS * STEPS_OF_EPOCH
    tell(parallel, optimizer, times)


def tell(parallel: Any, optimizer: Any, times: list[float]) -> None:
    digest = hashlib.sha256()
    states = list(optimizer.state_dict()["state"].values())
    for tensor in [*parallel.parameters(), *(value for state in states for value in state.values())]:
        digest.update(tensor.detach().numpy().tobytes())
    found = set(dist.gather_objects(digest.hexdigest()))
    assert len(found) == 1, "the ranks ended with different weights"
    if dist.rank() == 0:
        print(f"times {times}")
        print(f"ranks {dist.world_size()}", flush=True)


dist.init()
ME = str(dist.rank())
main()
