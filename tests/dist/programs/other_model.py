"""Save one model, and take it back into another: every rank tells what does not fit, or that its folder is another."""

import sys

from allgrad import dist, nn

dist.init()
with dist.Checkpointer(sys.argv[1]) as checkpointer:
    checkpointer.save(1, model=nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)))
try:
    checkpointer.restore(model=nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1, bias=False), nn.Linear(1, 1)))
except dist.CheckpointError as error:
    print(f"rank {dist.rank()}: {error}\n", end="", flush=True)
try:
    dist.Checkpointer(f"{sys.argv[1]}/{dist.rank()}" if dist.world_size() > 1 else "/proc/nowhere")
except (RuntimeError, OSError) as error:
    print(f"rank {dist.rank()}: {error}\n", end="", flush=True)
