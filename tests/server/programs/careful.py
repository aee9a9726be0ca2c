"""A job that notes SIGTERM in its output folder before it ends."""

import os
import signal
import sys
import time
from pathlib import Path

rank = os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ.get("PMI_RANK") or "0"


def leave(*_: object) -> None:
    time.sleep(0.3)
    Path(os.environ["ALLGRAD_OUTPUT_DIR"], f"saved-{rank}").touch()
    sys.exit(0)


signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
while True:
    time.sleep(0.05)
