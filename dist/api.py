"""The public names of allgrad.dist, grouped like a table of contents."""

from .collectives import (
    ReduceOp,
    all_gather,
    all_gather_into_tensor,
    all_gather_object,
    all_reduce,
    barrier,
    broadcast,
    broadcast_object,
    broadcast_object_list,
    gather_objects,
    mean,
    shutdown,
)
from .data_parallel import DataParallel, DistributedDataParallel
from .reporting import report, report_checkpoint
from .sampler import DistributedSampler
from .world import (
    get_backend,
    init,
    init_process_group,
    is_available,
    is_initialized,
    local_rank,
    local_world_size,
    rank,
    world_size,
)

get_rank = rank
get_world_size = world_size
destroy_process_group = shutdown

__all__ = [  # noqa: RUF022 -- grouped by what a reader looks for
    # the world of ranks
    "init",
    "init_process_group",
    "shutdown",
    "destroy_process_group",
    "is_available",
    "is_initialized",
    "get_backend",
    "rank",
    "get_rank",
    "world_size",
    "get_world_size",
    "local_rank",
    "local_world_size",
    # collectives
    "barrier",
    "all_reduce",
    "ReduceOp",
    "mean",
    "broadcast",
    "all_gather",
    "all_gather_into_tensor",
    "broadcast_object",
    "broadcast_object_list",
    "gather_objects",
    "all_gather_object",
    # training
    "DataParallel",
    "DistributedDataParallel",
    # data
    "DistributedSampler",
    # what the server hears
    "report",
    "report_checkpoint",
]
