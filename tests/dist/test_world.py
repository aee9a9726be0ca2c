"""What `dist.init` asks of an MPI before it starts it."""

import pytest

from tests.dist.conftest import Launcher

_TELL = """
import os, sys
from allgrad import dist
dist.init()
sys.stdout.write(f"over {os.environ.get('MPIR_CVAR_CH4_NETMOD')}\\n")  # whole, as ranks share what they print to
"""


@pytest.mark.parametrize(("chosen", "taken"), [(None, "ofi"), ("ucx", "ucx")])
def test_mpich_that_has_both_goes_over_ofi_unless_the_user_has_chosen(
    mpich: Launcher, chosen: str | None, taken: str
) -> None:
    env = {} if chosen is None else {"MPIR_CVAR_CH4_NETMOD": chosen}
    outcome = mpich.run(2, "-c", _TELL, entry=False, env=env)
    assert outcome.code == 0, outcome.output
    assert outcome.output.count(f"over {taken}\n") == 2
