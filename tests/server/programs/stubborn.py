"""A job that ignores SIGTERM, leaves a daemon in a session of its own that does so too, and never ends."""

import os
import signal
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
print("ready", os.getpid(), flush=True)
time.sleep(600)
