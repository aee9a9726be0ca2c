"""Save without end on two ranks, until rank 1 is killed in the middle of it."""

import os
import signal
import sys
import threading

import numpy as np

from allgrad import dist

dist.init()
checkpointer = dist.Checkpointer(sys.argv[1])
if dist.rank() == 1:
    threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGKILL)).start()
step = 0
while True:
    step += 1
    checkpointer.save(step, values={f"{k}": np.full(30_000, float(step)) for k in range(6)})
