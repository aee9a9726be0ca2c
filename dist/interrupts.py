"""How Ctrl-C ends a rank that waits for others inside MPI, where no KeyboardInterrupt reaches it.

Python runs its handlers between two instructions of the main thread, which never come there. So a thread hears of the
signal by a pipe (`signal.set_wakeup_fd`), and if the main thread stays where it is, says so and lets the signal do what it
does to other programs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

from .failure import is_first_here, who
from .watchdog.progress import place

_SECONDS_FOR_PYTHON = 0.5
# Which find that this rank has spoken, as long as it lives.
_SECONDS_FOR_OTHERS = 0.3


def heed_interrupts() -> None:
    """From now on let Ctrl-C end this rank wherever it waits, unless the script handles it in a way of its own."""
    if threading.current_thread() is not threading.main_thread():
        return
    heard, told = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    # The signals of a child, such as a data loader's worker, would arrive in its parent's pipe.
    os.register_at_fork(after_in_child=_heed_no_longer)
    threading.Thread(target=_listen, args=(heard,), name="allgrad-interrupts", daemon=True).start()


def _heed_no_longer() -> None:
    signal.set_wakeup_fd(-1)


def _listen(heard: int) -> None:
    while True:
        if signal.SIGINT in os.read(heard, 64) and _python_is_deaf():
            _end()


def _python_is_deaf() -> bool:
    """Whether a KeyboardInterrupt is due, and the main thread goes on waiting for other ranks."""
    before = place()
    time.sleep(_SECONDS_FOR_PYTHON)
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler and bool(before.within) and place() == before


def _end() -> None:
    here = place()
    if is_first_here():
        sys.stderr.write(f"allgrad: {who()} was interrupted (Ctrl-C) in {here.within} at {here.at}; all ranks end\n")
        sys.stderr.flush()
        time.sleep(_SECONDS_FOR_OTHERS)
    # Python changes handlers in the main thread only.
    library = ctypes.CDLL(None)
    library.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    library.signal(signal.SIGINT, None)
    os.kill(os.getpid(), signal.SIGINT)
