"""What a script sees that was started by hand."""

import sys

from allgrad import dist

dist.init()
dist.barrier()
assert dist.mean(1.0) == 1.0
print(f"rank {dist.rank()} of {dist.world_size()}, MPI loaded: {'mpi4py.MPI' in sys.modules}")
