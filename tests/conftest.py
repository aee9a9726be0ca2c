"""What holds for all tests, whoever starts them."""

from __future__ import annotations

import os
import signal

# A shell that runs a command in the background, as continuous integration may, lets it ignore SIGINT, and so all its
# children: no Ctrl-C of a test would reach the program it is meant for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Some hundred processes of the tests import the same modules: where no bytecode is written, each compiles them anew,
# which takes as long as all the rest of a rank's start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
