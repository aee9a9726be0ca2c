"""A job that waits for ever, and would end when it is asked to."""

import time

print("ready", flush=True)
time.sleep(600)
