"""Ctrl-C reaches every rank while it computes, or while it waits inside MPI: interrupted.py computing|stuck."""

import os
import signal
import sys
import threading
import time

import numpy as np

from allgrad import dist

dist.init()


def interrupt() -> None:
    print(f"failing at {time.time()}", flush=True)
    os.kill(os.getpid(), signal.SIGINT)


threading.Timer(1.0, interrupt).start()
if sys.argv[1] == "computing":
    time.sleep(60)
else:
    dist.recv(np.ones(1), src=(dist.rank() + 1) % dist.world_size())  # which nobody sends
