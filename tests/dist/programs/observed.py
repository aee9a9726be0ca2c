"""Trains with a rank that is slowed down, on clocks that differ by seconds: observed.py fast|reproducible SLOW FILE."""

import sys
import time

import allgrad as torch
from allgrad import dist
from allgrad.dist.observation import spans

mode, slow, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
dist.init()
spans.now = lambda: time.perf_counter_ns() + dist.rank() * 5_000_000_000  # as on hosts of their own

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
parallel = dist.DataParallel(model, virtual_shards=6 if mode == "reproducible" else None)
images, labels = torch.randn(4, 8), torch.randn(4, 1)

with dist.trace(path):
    for _ in range(20):
        with dist.span("load"):
            time.sleep(0.05 if dist.rank() == slow else 0.005)
        if mode == "reproducible":
            parallel.backward(torch.nn.MSELoss(), images, labels)
        else:
            torch.nn.functional.mse_loss(parallel(images), labels).backward()
    dist.barrier()

times = parallel.step_times
assert [found.rank for found in times] == list(range(dist.world_size())), times
print("slowest", max(times, key=lambda found: found.computing).rank, flush=True)
