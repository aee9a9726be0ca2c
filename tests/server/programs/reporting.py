"""A job that reports STEPS losses, one every PAUSE seconds, as docs/journal.md says; NaN at step NAN_AT.

Before step WAIT_AT it waits for a file `go` in its output folder.
"""

import os
import sys
import time
import zlib

steps, pause = int(sys.argv[1]), float(sys.argv[2])
nan_at = int(sys.argv[3]) if len(sys.argv) > 3 else 0
wait_at = int(sys.argv[4]) if len(sys.argv) > 4 else 0
go = os.environ["ALLGRAD_OUTPUT_DIR"] + "/go"
rank = int(os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ.get("PMI_RANK") or 0)
journal = os.open(os.environ["ALLGRAD_RUN_DIR"] + "/journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for step in range(1, steps + 1):
    while step == wait_at and not os.path.exists(go):
        time.sleep(0.02)
    loss = '"NaN"' if step == nan_at else repr(1 / step)
    body = f'{{"seq":{step},"time":{time.time():.6f},"kind":"metrics","step":{step},"values":{{"loss":{loss}}}'
    if rank == 0:
        os.write(journal, f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'.encode())
    print(f"rank {rank} step {step}")
    time.sleep(pause)
