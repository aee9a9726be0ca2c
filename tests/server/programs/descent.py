"""A job that reports STEPS losses SCALE / step, one every PAUSE seconds."""

import os
import sys
import time
import zlib

steps, pause, scale = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
journal = os.open(os.environ["ALLGRAD_RUN_DIR"] + "/journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for step in range(1, steps + 1):
    values = f'{{"loss":{scale / step!r}}}'
    body = f'{{"seq":{step},"time":{time.time():.6f},"kind":"metrics","step":{step},"values":{values}'
    os.write(journal, f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'.encode())
    time.sleep(pause)
