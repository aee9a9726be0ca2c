"""A job that counts to STEPS, one every PAUSE seconds; on SIGTERM it saves where it is, and goes on from there later.

It fails on its own at step FAIL_AT of its first attempt, if that is given.
"""

import os
import signal
import sys
import time
import zlib
from pathlib import Path

steps, pause = int(sys.argv[1]), float(sys.argv[2])
fail_at = int(sys.argv[3]) if len(sys.argv) > 3 else 0
journal = os.open(os.environ["ALLGRAD_RUN_DIR"] + "/journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
resume = os.environ.get("ALLGRAD_RESUME")
step = int(Path(resume).read_text()) if resume else 0
stopping = False
lines = 0


def record(kind: str, rest: str) -> None:
    global lines
    lines += 1
    body = f'{{"seq":{lines},"time":{time.time():.6f},"kind":"{kind}","step":{step},{rest}'
    os.write(journal, f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'.encode())


def save() -> None:
    path = Path(os.environ["ALLGRAD_OUTPUT_DIR"], f"step-{step}")
    path.write_text(str(step))
    record("checkpoint", f'"path":"{path}"')


def stop(*_: object) -> None:
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)
print(f"attempt {os.environ['ALLGRAD_ATTEMPT']} from step {step}", flush=True)
while step < steps and not stopping:
    step += 1
    record("metrics", f'"values":{{"loss":{1 / step}}}')
    if step == fail_at and os.environ["ALLGRAD_ATTEMPT"] == "1":
        save()
        sys.exit(3)
    time.sleep(pause)
if stopping:
    save()
