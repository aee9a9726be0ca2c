"""Every rank joins the world; rank 1 then ends in the way the argument says, while the others wait for it."""

import os
import sys
import time

import allgrad as torch
from allgrad import dist


def tell() -> None:
    print(f"failing at {time.time()}", flush=True)


def killed() -> None:
    time.sleep(0.3)
    tell()
    os.kill(os.getpid(), 9)


def broken() -> None:
    tell()
    raise ValueError("the batch is empty")


how = sys.argv[1]
first = "0" in (os.environ.get("OMPI_COMM_WORLD_RANK"), os.environ.get("PMI_RANK"), os.environ.get("SLURM_PROCID"))
if how == "before-mpi" and first:
    broken()
dist.init()
print(f"rank {dist.rank()} of {dist.world_size()} is here", flush=True)
if how == "everywhere":
    broken()
if how == "backward":
    model = dist.DataParallel(torch.nn.Linear(2, 2))
    output = model(torch.ones(1, 2))
    if dist.rank() == 1:
        output.register_hook(lambda gradient: broken())
    output.sum().backward()
if how == "killed-in-the-window":
    layers = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    wrapped = dist.DataParallel(layers, first_bucket_mb=1e-6, bucket_cap_mb=1e-6)
    if dist.rank() == 1:
        # The gradients of the second layer have come, so that the others wait for those of the first.
        layers[0].weight.register_hook(lambda gradient: killed())
    wrapped(torch.ones(1, 2)).sum().backward()
if dist.rank() == 1:
    if how == "exception":
        broken()
    if how == "exit":
        tell()
        sys.exit(3)
    if how == "killed":
        killed()
dist.barrier()
if how == "fine":
    print(f"rank {dist.rank()} is done", flush=True)
