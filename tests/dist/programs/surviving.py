"""Train while ranks are killed, saving every second step; print the digest of every bit that came of it.

Arguments: the folder for checkpoints, or "-" for none, and who is killed when: RANK:STEP:PLACE ..., in the first attempt.
"""

import hashlib
import os
import signal
import sys
import time
from typing import Any

import numpy as np

import allgrad as torch
from allgrad import dist, nn
from allgrad.utils.data import DataLoader, TensorDataset

FOLDER, DEATHS = sys.argv[1], [tuple(death.split(":")) for death in sys.argv[2:]]
SHARDS, BATCH, EPOCHS = 4, 13, 3


def die(step: int, place: str) -> None:
    if (ME, str(step), place) in DEATHS and os.environ.get("ALLGRAD_ATTEMPT", "1") == "1":
        print(f"killed {time.time()}", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    torch.manual_seed(dist.rank())
    source = np.random.default_rng(1)
    data = TensorDataset(
        torch.from_numpy(source.normal(size=(50, 6)).astype("float32")),
        torch.from_numpy(source.integers(0, 3, 50)),
        torch.arange(50),
    )
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    parallel = dist.DataParallel(model, virtual_shards=SHARDS, seed=11)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    sampler = dist.DistributedBatchSampler(data, batch_size=BATCH, virtual_shards=SHARDS, seed=2)
    loader = DataLoader(data, batch_sampler=sampler)
    parts: dict[str, Any] = {"model": parallel, "optimizer": optimizer, "loader": loader}
    checkpointer = None if FOLDER == "-" else dist.Checkpointer(FOLDER)
    restored = checkpointer.restore(**parts) if checkpointer else None
    step, begin = (restored.step, restored.values["epoch"]) if restored else (0, 0)
    seen: list[float] = []

    def loss_of(features: Any, labels: Any, numbers: Any) -> Any:
        die(step, "inside")
        return nn.functional.cross_entropy(model(features), labels), {"samples": numbers.float().mean()}

    for epoch in range(begin, EPOCHS):
        sampler.set_epoch(epoch)
        for batch in dist.elastic_steps(loader):
            with batch as samples:
                die(step, "before")
                optimizer.zero_grad()
                loss, metrics = parallel.backward(loss_of, *samples)
                die(step, "after")
                optimizer.step()
                step += 1
                seen += [loss.item(), metrics["samples"], time.time()]
                if checkpointer and step % 2 == 0:
                    checkpointer.save(step, epoch=epoch, **parts)
    if checkpointer:
        checkpointer.wait()
    assert step == parallel.steps == EPOCHS * 4
    tell(model, optimizer, seen, restored is not None)


def tell(model: Any, optimizer: Any, seen: list[float], resumed: bool) -> None:
    states = list(optimizer.state_dict()["state"].values())
    digest = hashlib.sha256()
    for tensor in [*model.state_dict().values(), *(value for state in states for value in state.values())]:
        digest.update(tensor.numpy().tobytes())
    found = set(dist.gather_objects(digest.hexdigest()))
    assert len(found) == 1, "the ranks ended with different bits"
    if dist.rank() == 0:
        print(f"times {seen[2::3]}")
        losses = "resumed" if resumed else hashlib.sha256(repr([seen[0::3], seen[1::3]]).encode()).hexdigest()
        print(f"ranks {dist.world_size()} losses {losses} weights {found.pop()}", flush=True)


dist.init()
ME = str(dist.rank())
main()
