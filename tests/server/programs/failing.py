"""A job whose rank WHO raises, exits with 3 or is killed, while the others wait; or leaves a child."""

import os
import signal
import subprocess
import sys
import time

how, who = sys.argv[1], sys.argv[2]
rank = os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ.get("PMI_RANK") or "0"
print(f"rank {rank} of job {os.environ['ALLGRAD_JOB_ID']}", flush=True)
if rank == who:
    match how:
        case "raise":
            raise ValueError("the data are bad")
        case "exit":
            sys.exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "child":
            subprocess.Popen(["sleep", "600"])
            sys.exit(0)
if how != "child":
    time.sleep(600)
