"""Every rank joins the world; rank 1 is then missing in the way the argument says, while the others wait for it."""

import os
import signal
import sys
import time

import allgrad as torch
from allgrad import dist


def load_batch(how: str) -> None:
    print(f"missing at {time.time()}", flush=True)
    if how == "frozen":
        os.kill(os.getpid(), signal.SIGSTOP)
    if how == "ended":
        sys.exit()
    if how == "raised":
        raise SystemExit(3)
    time.sleep(60)  # the line where it hangs


how, where, missing = sys.argv[1], sys.argv[2], int(sys.argv[3])
dist.init(timeout=float(os.environ.get("SECONDS", "1.5")))
first = torch.nn.Linear(2, 3)
model = dist.DataParallel(torch.nn.Sequential(first, torch.nn.Linear(3, 1)))
model(torch.ones(1, 2)).sum().backward()
group = dist.new_group([0, 1])
here = dist.rank() == missing
if where == "backward":
    output = model(torch.ones(1, 2))
    if here:
        first.bias.register_hook(lambda gradient: load_batch(how))
    output.sum().backward()
elif here:
    load_batch(how)
elif where == "group" and dist.rank() == 0:
    dist.barrier(group)
elif where == "recv":
    dist.recv(torch.zeros(3), src=missing)
else:
    dist.all_reduce(torch.ones(3))  # the line where they wait
