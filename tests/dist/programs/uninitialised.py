"""A script under mpirun that forgot dist.init()."""

from allgrad import dist

dist.rank()
