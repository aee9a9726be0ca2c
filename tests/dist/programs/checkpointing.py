"""Train, saving every second step; stop after a given step, or train to the end and print the digest of every bit."""

import hashlib
import os
import sys
from typing import Any

import numpy as np

import allgrad as torch
from allgrad import dist, nn
from allgrad.utils.data import DataLoader, TensorDataset

FOLDER, SHARDS, STOP = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def main() -> None:
    dist.init()
    torch.manual_seed(dist.rank())
    source = np.random.default_rng(1)
    data = TensorDataset(
        torch.from_numpy(source.normal(size=(30, 6)).astype("float32")), torch.from_numpy(source.integers(0, 3, 30))
    )
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    parallel = dist.DataParallel(model, virtual_shards=SHARDS, seed=11)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.7)
    sampler = dist.DistributedBatchSampler(data, batch_size=8, virtual_shards=SHARDS, seed=2, drop_last=True)
    loader = DataLoader(data, batch_sampler=sampler)
    parts = {"model": parallel, "optimizer": optimizer, "scheduler": scheduler, "loader": loader}
    with dist.Checkpointer(FOLDER, keep_last=2) as checkpointer:
        restored = checkpointer.restore(**parts)
        step, begin = (restored.step, restored.values["epoch"]) if restored else (0, 0)
        for epoch in range(begin, 4):
            sampler.set_epoch(epoch)
            for images, labels in loader:
                optimizer.zero_grad()
                parallel.backward(nn.CrossEntropyLoss(), images, labels)
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                step += 1
                if step % 2 == 0:
                    checkpointer.save(step, epoch=epoch, noise=torch.rand(1), **parts)
                if step == STOP:
                    checkpointer.wait()
                    dist.barrier()
                    print(f"stopped at {step}", flush=True)
                    dist.barrier()
                    os._exit(0)
    assert step == 12
    tell(model, optimizer)


def tell(model: Any, optimizer: Any) -> None:
    digest = hashlib.sha256()
    states = list(optimizer.state_dict()["state"].values())
    for tensor in [*model.state_dict().values(), *(value for state in states for value in state.values())]:
        digest.update(tensor.numpy().tobytes())
    found = set(dist.gather_objects(digest.hexdigest()))
    assert len(found) == 1, "the ranks ended with different bits"
    if dist.rank() == 0:
        print(found.pop())


main()
