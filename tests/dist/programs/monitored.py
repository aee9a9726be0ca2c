"""Passes a monitored barrier with all ranks, then waits at another for the rank that the argument names."""

import sys
import time

from allgrad import dist

dist.init()
dist.monitored_barrier(timeout=10)
print(f"rank {dist.rank()} has passed", flush=True)
if dist.rank() == int(sys.argv[1]):
    time.sleep(60)
try:
    dist.monitored_barrier(timeout=1)
except RuntimeError as error:
    print(f"rank {dist.rank()} heard: {error}", flush=True)
    time.sleep(2)
    raise
