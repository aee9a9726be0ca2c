"""Train over epochs while ranks are killed and replaced; print the digest of every bit that came of it.

Arguments: "fast" or "reproducible", a folder for the samples of each step that counted, the number of ranks, and who is
killed when: RANK:STEP:PLACE ...
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

MODE, FOLDER, RANKS = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
DEATHS = [tuple(death.split(":")) for death in sys.argv[4:]]
BATCH, STEPS_OF_EPOCH, EPOCHS = 12, 10, 2


class Counter:
    """How many steps have been made, which a replacement takes over like all else."""

    def __init__(self) -> None:
        self.steps = 0

    def state_dict(self) -> dict[str, int]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.steps = state["steps"]


def die(step: int, place: str) -> None:
    if (ME, str(step), place) in DEATHS:
        print(f"killed {time.time()}", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    torch.manual_seed(0)
    features = torch.randn(BATCH * STEPS_OF_EPOCH, 6)
    data = TensorDataset(features, features.sum(1, keepdim=True), torch.arange(len(features)))
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
    shards = None if MODE == "fast" else 4
    parallel = dist.DataParallel(model, virtual_shards=shards)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    sampler = dist.DistributedBatchSampler(data, batch_size=BATCH, virtual_shards=shards, seed=2)
    loader = DataLoader(data, batch_sampler=sampler)
    done, times, sizes, fewer = Counter(), [], [], 0

    def loss_of(inputs: Any, wanted: Any) -> Any:
        die(done.steps, "inside")
        return nn.functional.mse_loss(parallel(inputs), wanted)

    with (FOLDER / ME).open("w", buffering=1) as counted:
        for batch in dist.elastic_steps(loader, epochs=EPOCHS, model=parallel, optimizer=optimizer, done=done):
            with batch as (inputs, wanted, numbers):
                die(done.steps, "before")
                optimizer.zero_grad()
                if MODE == "fast":
                    loss_of(inputs, wanted).backward()
                else:
                    parallel.backward(loss_of, inputs, wanted)
                optimizer.step()
                for number in numbers.tolist():
                    counted.write(f"{sampler.epoch} {done.steps} {number}\n")
                done.steps += 1
                times.append(time.time())
                sizes.append(dist.world_size())
                if DEATHS and dist.world_size() < RANKS and fewer < 10:
                    fewer += 1
                    time.sleep(0.5 * fewer)  # a replacement takes its time
    assert done.steps == int(model[1].num_batches_tracked) == EPOCHS * STEPS_OF_EPOCH
    digest = hashlib.sha256()
    states = list(optimizer.state_dict()["state"].values())
    # In the fast mode each rank's running statistics are its own until the next forward pass.
    values = model.parameters() if MODE == "fast" else model.state_dict().values()
    for tensor in [*values, *(value for state in states for value in state.values())]:
        digest.update(tensor.detach().numpy().tobytes())
    found = set(dist.gather_objects(digest.hexdigest()))
    assert len(found) == 1, "the ranks ended with different weights"
    if dist.rank() == 0:
        print(f"times {times}")
        print(f"sizes {sizes}")
        print(f"ranks {dist.world_size()} weights {found.pop()}", flush=True)


dist.init()
# A replacement is told apart, so that it does not die as the rank did whose place it takes.
ME = f"replacement-{os.getpid()}" if "ALLGRAD_REPLACEMENT" in os.environ else str(dist.rank())
main()
