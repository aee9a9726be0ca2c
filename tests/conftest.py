"""What holds for all tests, whoever starts them."""

from __future__ import annotations

import signal

# A shell that runs a command in the background, as continuous integration may, lets it ignore SIGINT, and so all its
# children: no Ctrl-C of a test would reach the program it is meant for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
