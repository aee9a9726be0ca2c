"""What a stated model says of data parallel training on many ranks: how long an allreduce takes, and what is left of a step.

    python benchmarks/scaling_model.py [--gradients-mb 25] [--backward-ms 250] [--ranks-per-host 8] [--gbit 10]

A message of m bytes takes latency + m / bandwidth. With h hosts of r ranks, and n bytes of gradients:

window   each rank adds its part of all rows: (r + 1) n / r bytes move through a memory whose bandwidth all r ranks share,
         hence (r + 1) n / memory; nothing with one rank on a host. Three counters: 3 times the latency of a cache line
ring     2 (h - 1) messages of n / h bytes (reduce-scatter, then allgather)
tree     recursive halving and doubling: 2 ceil(log2 h) messages, 2 n (h - 1) / h bytes in all
step     what can be hidden is hidden behind the backward pass but for the last bucket: max(backward, exchange) plus the
         exchange of one bucket; efficiency is backward over that

What the model leaves out: contention in the network, stragglers, and hosts that differ. The bandwidths are parameters;
the defaults are 10 Gbit/s with 30 us between hosts, and a memory of 40 GB/s.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from math import ceil, log2

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)


@dataclass(frozen=True)
class Cluster:
    """Seconds and bytes per second, within a host and between hosts."""

    latency: float = 30e-6
    bandwidth: float = 10e9 / 8
    memory: float = 40e9
    line: float = 0.2e-6
    ranks_per_host: int = 8


def window(cluster: Cluster, size: float, ranks: int) -> float:
    """Seconds in which *ranks* of one host add up *size* bytes of each.

    >>> round(1e3 * window(Cluster(), 25e6, 2), 3)
    1.876
    """
    return 0.0 if ranks == 1 else (ranks + 1) * size / cluster.memory + 3 * cluster.line * ranks


def ring(cluster: Cluster, size: float, hosts: int) -> float:
    """Seconds of an allreduce of *size* bytes around a ring.

    >>> round(1e3 * ring(Cluster(), 25e6, 2), 2)
    20.06
    """
    return 2 * (hosts - 1) * (cluster.latency + size / hosts / cluster.bandwidth)


def tree(cluster: Cluster, size: float, hosts: int) -> float:
    """Seconds of an allreduce by recursive halving and doubling."""
    return 2 * ceil(log2(hosts)) * cluster.latency + 2 * size * (hosts - 1) / hosts / cluster.bandwidth


def exchange(cluster: Cluster, size: float, ranks: int) -> tuple[float, str]:
    """Seconds in which *ranks* have the mean of *size* bytes, and the better way between hosts."""
    together = min(ranks, cluster.ranks_per_host)
    hosts = ceil(ranks / cluster.ranks_per_host)
    between, way = min((ring(cluster, size, hosts), "ring"), (tree(cluster, size, hosts), "tree"))
    return window(cluster, size, together) + between, way if hosts > 1 else "window"


def efficiency(cluster: Cluster, size: float, bucket: float, backward: float, ranks: int) -> float:
    """What is left of the speed of *ranks* that need not talk, where *backward* is their seconds for a step.

    >>> efficiency(Cluster(), 25e6, 1e6, 0.25, 1)
    1.0
    """
    last = exchange(cluster, min(bucket, size), ranks)[0]
    return backward / (max(backward, exchange(cluster, size, ranks)[0]) + last)


def main() -> None:
    """Print a table by ranks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gradients-mb", type=float, default=25)
    parser.add_argument("--bucket-mb", type=float, default=1)
    parser.add_argument("--backward-ms", type=float, default=250)
    parser.add_argument("--ranks-per-host", type=int, default=8)
    parser.add_argument("--gbit", type=float, default=10)
    given = parser.parse_args()
    cluster = Cluster(bandwidth=given.gbit * 1e9 / 8, ranks_per_host=given.ranks_per_host)
    print("| ranks | hosts | exchange, ms | by | flat ring, ms | efficiency |\n|---|---|---|---|---|---|")
    for ranks in RANKS:
        seconds, way = exchange(cluster, given.gradients_mb * 1e6, ranks)
        left = efficiency(cluster, given.gradients_mb * 1e6, given.bucket_mb * 1e6, given.backward_ms / 1e3, ranks)
        flat = ring(cluster, given.gradients_mb * 1e6, ranks)
        hosts = ceil(ranks / cluster.ranks_per_host)
        print(f"| {ranks} | {hosts} | {1e3 * seconds:.1f} | {way} | {1e3 * flat:.1f} | {left:.3f} |")


if __name__ == "__main__":
    main()
