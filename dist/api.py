"""The public names of allgrad.dist, grouped like a table of contents."""

from . import functional
from .checkpoints.checkpointer import Checkpointer, CheckpointError, Restored
from .communication.collectives import all_gather, all_gather_into_tensor, all_reduce, barrier, broadcast, mean, reduce
from .communication.exchange import (
    all_to_all,
    all_to_all_single,
    gather,
    reduce_scatter,
    reduce_scatter_tensor,
    scatter,
)
from .communication.future import Future
from .communication.groups import get_global_rank, get_group_rank, get_process_group_ranks, new_group, shutdown
from .communication.monitored import monitored_barrier
from .communication.objects import (
    all_gather_object,
    broadcast_object,
    broadcast_object_list,
    gather_object,
    gather_objects,
    scatter_object_list,
)
from .communication.point_to_point import P2POp, batch_isend_irecv, irecv, isend, recv, recv_object, send, send_object
from .communication.reduction import ReduceOp
from .communication.work import Work
from .compression.power_sgd import PowerSGD
from .compression.rounding import BF16, FP16, Int8
from .compression.top_k import TopK
from .elastic.steps import ElasticStep, elastic_steps
from .observation.spans import span
from .observation.trace import trace
from .reporting import report, report_checkpoint
from .reproducible.batch_sampler import DistributedBatchSampler
from .sharding.optimizer import ShardedOptimizer, ZeroRedundancyOptimizer
from .training.comm_hook import GradBucket
from .training.data_parallel import DataParallel, DistributedDataParallel
from .training.sampler import DistributedSampler
from .training.sync_batch_norm import SyncBatchNorm
from .world import (
    Group,
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
    # groups of ranks
    "Group",
    "new_group",
    "get_process_group_ranks",
    "get_global_rank",
    "get_group_rank",
    # collectives: everybody gets the same
    "barrier",
    "monitored_barrier",
    "all_reduce",
    "ReduceOp",
    "mean",
    "broadcast",
    "all_gather",
    "all_gather_into_tensor",
    # collectives: each rank gives or gets a part
    "reduce",
    "gather",
    "scatter",
    "reduce_scatter",
    "reduce_scatter_tensor",
    "all_to_all",
    "all_to_all_single",
    "Work",
    "Future",
    # collectives through which gradients flow
    "functional",
    # collectives of objects
    "broadcast_object",
    "broadcast_object_list",
    "gather_objects",
    "all_gather_object",
    "gather_object",
    "scatter_object_list",
    # from one rank to another
    "send",
    "recv",
    "isend",
    "irecv",
    "P2POp",
    "batch_isend_irecv",
    "send_object",
    "recv_object",
    # training
    "DataParallel",
    "DistributedDataParallel",
    "GradBucket",
    "SyncBatchNorm",
    # gradients in fewer bytes
    "FP16",
    "BF16",
    "Int8",
    "TopK",
    "PowerSGD",
    # memory divided among the ranks
    "ShardedOptimizer",
    "ZeroRedundancyOptimizer",
    # going on when ranks die
    "elastic_steps",
    "ElasticStep",
    # data
    "DistributedSampler",
    "DistributedBatchSampler",
    # checkpoints
    "Checkpointer",
    "CheckpointError",
    "Restored",
    # seeing where the time goes
    "trace",
    "span",
    # what the server hears
    "report",
    "report_checkpoint",
]
