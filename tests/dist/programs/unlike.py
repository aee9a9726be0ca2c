"""A rank whose matrix products are another's kernels: wraps a model in the reproducible mode."""

import os

rank = os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ["PMI_RANK"]
os.environ["OPENBLAS_CORETYPE"] = ("Haswell", "Sandybridge")[int(rank)]  # read when NumPy is loaded, which is now

from allgrad import dist, nn  # noqa: E402

dist.init()
dist.DataParallel(nn.Linear(1, 1), virtual_shards=2)
