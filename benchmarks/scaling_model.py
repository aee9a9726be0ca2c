"""What a stated model says of data parallel training on many ranks: how long an allreduce takes, and what is left of a step.

    python benchmarks/scaling_model.py [--gradients-mb 25] [--backward-ms 250] [--ranks-per-host 8] [--gbit 10]
    python benchmarks/scaling_model.py --plot docs/scaling.svg [--measured FILE]

A message of m bytes takes latency + m / bandwidth. With h hosts of r ranks, and n bytes of gradients:

window   each rank adds its part of all rows: (r + 1) n / r bytes move through a memory whose bandwidth all r ranks share,
         hence (r + 1) n / memory; nothing with one rank on a host. Three counters: 3 times the latency of a cache line
ring     2 (h - 1) messages of n / h bytes (reduce-scatter, then allgather)
tree     recursive halving and doubling: 2 ceil(log2 h) messages, 2 n (h - 1) / h bytes in all
step     what can be hidden is hidden behind the backward pass but for the last bucket: max(backward, exchange) plus the
         exchange of one bucket; efficiency is backward over that

What the model leaves out: contention in the network, stragglers, and hosts that differ. The bandwidths are parameters;
the defaults are 10 Gbit/s with 30 us between hosts, and a memory of 40 GB/s.

--plot draws efficiency against ranks, for 10 and 1 Gbit/s, and beside it what weak_scaling.py has measured (its DataParallel /
alone) and kept by --save.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
WIDTH, HEIGHT = 790, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 180, 60, 60
GREY, FAINT = "#52514e", "#e1e0d9"
LINES = {"model, 10 Gbit/s": (10.0, "#2a78d6"), "model, 1 Gbit/s": (1.0, "#eb6834")}
MARKS = {"tiny": "#898781", "MLP": "#4a3aa7", "transformer": "#1baf7a", "CNN": "#e34948"}


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


def across(ranks: float) -> float:
    """The abscissa of *ranks*, on a logarithmic scale from 1 to 1,000."""
    return LEFT + (WIDTH - LEFT - RIGHT) * log2(ranks) / log2(1000)


def up(share: float) -> float:
    """The ordinate of an efficiency from 0 to 1."""
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(1.0, share)


def text(x: float, y: float, words: str, anchor: str = "middle", colour: str = GREY, size: int = 13) -> str:
    """One line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{words}</text>'


def frame(title: str) -> Iterable[str]:
    """Title, axes and grid."""
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    yield text(LEFT, 28, title, "start", "#0b0b0b", 16)
    for tenth in range(0, 11, 2):
        y = up(tenth / 10)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{FAINT}"/>'
        yield text(LEFT - 8, y + 4, f"{tenth / 10:.1f}", "end")
    for ranks in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000):
        yield text(across(ranks), HEIGHT - BOTTOM + 20, f"{ranks:,}")
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "ranks")


def lines(size: float, bucket: float, backward: float, together: int) -> Iterable[str]:
    """The model's curves."""
    for name, (gbit, colour) in LINES.items():
        cluster = Cluster(bandwidth=gbit * 1e9 / 8, ranks_per_host=together)
        shares = [efficiency(cluster, size, bucket, backward, ranks) for ranks in RANKS]
        points = " ".join(f"{across(ranks):.1f},{up(share):.1f}" for ranks, share in zip(RANKS, shares, strict=True))
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield text(WIDTH - RIGHT + 8, up(shares[-1]) + 4, name, "start", colour)


def marks(measured: dict[str, dict[str, float]]) -> Iterable[str]:
    """What was measured: one colour for each model, and its name in a legend below the curves."""
    for row, (name, found) in enumerate(measured.items()):
        colour = MARKS[name]
        for ranks, share in found.items():
            where = f'cx="{across(int(ranks)):.1f}" cy="{up(share):.1f}"'
            yield f'<circle {where} r="5" fill="{colour}" stroke="#ffffff" stroke-width="2"/>'
        y = HEIGHT - BOTTOM - 20 - 20 * row
        yield f'<circle cx="{WIDTH - RIGHT + 14}" cy="{y}" r="5" fill="{colour}"/>'
        yield text(WIDTH - RIGHT + 24, y + 4, f"{name}, measured", "start")


def plot(picture: Path, curves: Iterable[str], measured: dict[str, dict[str, float]]) -> None:
    """Write *curves*, and what was *measured*, as an SVG."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">'
    title = "Efficiency against ranks: by the model" + (", and measured on one host" if measured else "")
    picture.write_text("\n".join([head, *frame(title), *curves, *marks(measured), "</svg>"]) + "\n")


def main() -> None:
    """Print a table by ranks, or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gradients-mb", type=float, default=25)
    parser.add_argument("--bucket-mb", type=float, default=1)
    parser.add_argument("--backward-ms", type=float, default=250)
    parser.add_argument("--ranks-per-host", type=int, default=8)
    parser.add_argument("--gbit", type=float, default=10)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="the SVG to write")
    parser.add_argument("--measured", type=Path, metavar="FILE", help="what weak_scaling.py --save has written")
    given = parser.parse_args()
    size, bucket, backward = given.gradients_mb * 1e6, given.bucket_mb * 1e6, given.backward_ms / 1e3
    if given.plot:
        measured = json.loads(given.measured.read_text()) if given.measured else {}
        plot(given.plot, lines(size, bucket, backward, given.ranks_per_host), measured)
        return
    cluster = Cluster(bandwidth=given.gbit * 1e9 / 8, ranks_per_host=given.ranks_per_host)
    print("| ranks | hosts | exchange, ms | by | flat ring, ms | efficiency |\n|---|---|---|---|---|---|")
    for ranks in RANKS:
        seconds, way = exchange(cluster, size, ranks)
        left = efficiency(cluster, size, bucket, backward, ranks)
        flat = ring(cluster, size, ranks)
        hosts = ceil(ranks / cluster.ranks_per_host)
        print(f"| {ranks} | {hosts} | {1e3 * seconds:.1f} | {way} | {1e3 * flat:.1f} | {left:.3f} |")


if __name__ == "__main__":
    main()
