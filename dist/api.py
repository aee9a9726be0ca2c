"""The public names of allgrad.dist, grouped like a table of contents."""

from .world import (
    get_backend,
    init,
    init_process_group,
    is_available,
    is_initialized,
    local_rank,
    local_world_size,
    rank,
    shutdown,
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
]
