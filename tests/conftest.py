"""What holds for all tests, whoever starts them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes depends on what else the machine does; no test is about that.
settings.register_profile("allgrad", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("allgrad")

# A shell that runs a command in the background, as continuous integration may, lets it ignore SIGINT, and so all its
# children: no Ctrl-C of a test would reach the program it is meant for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Some hundred processes of the tests import the same modules: where no bytecode is written, each compiles them anew,
# which takes as long as all the rest of a rank's start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


_TOPOLOGIES = "hydra_hwloc_xmlfile_*"


@pytest.fixture(scope="session", autouse=True)
def no_topologies_left_behind() -> Iterator[None]:
    """Removes what MPICH's proxy leaves in /tmp of every world that is killed or aborts, once no proxy is alive."""
    before = set(Path("/tmp").glob(_TOPOLOGIES))
    yield
    if not _runs("hydra_pmi_proxy"):
        for path in set(Path("/tmp").glob(_TOPOLOGIES)) - before:
            with suppress(FileNotFoundError, PermissionError):  # another session's
                path.unlink()


def _runs(program: str) -> bool:
    for name in Path("/proc").glob("[0-9]*/comm"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if name.read_text() == f"{program}\n":
                return True
    return False
