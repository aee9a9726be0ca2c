"""Run programs one after another on this rank; what each prints is in NAME-RANK.running, and at its end NAME-RANK.ended.

Arguments: the folder for these files, and a list of [name, environment variables, [script, argument ...]] as JSON.
"""

import json
import os
import runpy
import sys
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

from allgrad import dist

dist.init()
folder, programs = Path(sys.argv[1]), json.loads(sys.argv[2])
for name, variables, words in programs:
    running = folder / f"{name}-{dist.rank()}.running"
    sys.argv = words
    with running.open("w", buffering=1) as file, redirect_stdout(file), mock.patch.dict(os.environ, variables):
        runpy.run_path(words[0], run_name="__main__")
    running.rename(running.with_suffix(".ended"))
