"""Python's multiprocessing under PyTorch's name: arrays are shared with forked processes copy-on-write."""

from multiprocessing import *  # noqa: F403
