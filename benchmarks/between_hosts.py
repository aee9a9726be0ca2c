"""How much of the exchange of gradients between two hosts a backward pass hides: two network namespaces, 1 Gbit/s between them.

    sudo .venv/bin/python benchmarks/between_hosts.py [--gbit 1] [--rounds 7] [--layers 6] [--batch 512]

It makes two hosts on this machine (tests/cluster/hosts.py), shapes what each sends (tc tbf), and starts one rank of one thread on
each by Open MPI. Each round times, in turn:

backward  a backward pass under no_sync: nothing is exchanged
wire      an Allreduce over MPI of as many bytes as the gradients have, at once and with nothing else to do
step      a backward pass whose gradients are exchanged by DataParallel while it runs

each from a barrier until the slower rank is through. The table gives medians, and the median of the rounds'
step / max(backward, wire): 1 where the shorter of both is hidden whole, 2 where nothing is and both are equal. --layers and
--batch can make both about equal: the wire takes at least bytes / bandwidth, as each of two hosts sends half of the gradients
and then half of the sums. Variables that begin with ALLGRAD_ reach the ranks: ALLGRAD_PROGRESS_THREAD=0 leaves out the thread that
helps MPI where operations are long.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # read when NumPy loads, which is later

ROOT = Path(__file__).parents[1]
WIDTH = 1024
WARM_UP = 2


def rank(layers: int, batch: int, rounds: int) -> None:
    """Measure, as one of two ranks, and print on rank 0."""
    import allgrad as torch
    from allgrad import dist, nn
    from allgrad.dist.world import current, mpi

    dist.init()
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[dist.rank() % (os.cpu_count() or 1)]})
    comm = current().comm
    assert comm is not None
    net = nn.Sequential(*[part for _ in range(layers) for part in (nn.Linear(WIDTH, WIDTH), nn.ReLU())])
    model = dist.DataParallel(net, bucket_cap_mb=4)
    inputs, own = torch.randn(batch, WIDTH), torch.zeros(sum(p.numel() for p in model.parameters())).numpy()

    def seconds(prepare: Callable[[], object], run: Callable[[], object]) -> float:
        prepare()
        comm.Barrier()
        begin = time.perf_counter()
        run()
        return float(comm.allreduce(time.perf_counter() - begin, mpi().MAX))

    losses: list[torch.Tensor] = []

    def forward() -> None:
        model.zero_grad()
        losses[:] = [model(inputs).pow(2).mean()]

    def backward_alone() -> float:
        with model.no_sync():
            return seconds(forward, lambda: losses[0].backward())

    found: list[dict[str, float]] = []
    for _ in range(WARM_UP + rounds):
        took = {"backward": backward_alone()}
        took["wire"] = seconds(lambda: None, lambda: comm.Allreduce(mpi().IN_PLACE, own))
        took["step"] = seconds(forward, lambda: losses[0].backward())
        found.append(took)
    if dist.rank() == 0:
        tell(found[WARM_UP:], own.nbytes)


def tell(found: list[dict[str, float]], size: int) -> None:
    """Print the table."""
    print(f"{size / 1e6:.1f} MB of gradients")
    for way in found[0]:
        print(f"{way:10} {1e3 * statistics.median(took[way] for took in found):8.1f} ms")
    ratio = statistics.median(took["step"] / max(took["backward"], took["wire"]) for took in found)
    hidden = statistics.median(
        (took["backward"] + took["wire"] - took["step"]) / min(took["backward"], took["wire"]) for took in found
    )
    print(f"step / max(backward, wire) {ratio:.2f}; hidden of the shorter one {hidden:.0%}")


def start(gbit: float, words: list[str]) -> int:
    """Make the hosts, run the ranks on them, and return their exit code."""
    sys.path.insert(0, str(ROOT))
    from tests.cluster.hosts import BRIDGE, lab

    mpirun = Path(sys.executable).with_name("mpirun")
    with tempfile.TemporaryDirectory(prefix="allgrad-lab-") as folder, lab(Path(folder), 2) as made:
        for host in made.hosts:
            shape = ["root", "tbf", "rate", f"{gbit}gbit", "burst", "256kb", "latency", "100ms"]
            subprocess.run(host.command(["tc", "qdisc", "add", "dev", "eth0", *shape]), check=True)
        settings = {
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_btl": "^ofi",
            "ALLGRAD_OVERSUBSCRIBE": "1",
            "OMP_NUM_THREADS": "1",
            **{name: value for name, value in os.environ.items() if name.startswith("ALLGRAD_")},
        }
        command = [str(mpirun), "--host", made.names(1), "-n", "2", "--bind-to", "none", "--prefix", sys.prefix]
        command += ["--prtemca", "plm_ssh_agent", str(made.agent)]
        command += [word for name in settings for word in ("-x", name)]
        print(f"two hosts on {BRIDGE}, {gbit:g} Gbit/s each way", flush=True)
        command += [sys.executable, __file__, "--rank", *words]
        return subprocess.run(command, env={**os.environ, **settings}, check=False).returncode


def main() -> None:
    """Start the ranks, or be one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gbit", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rank:
        rank(given.layers, given.batch, given.rounds)
        return
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("tc")):
        sys.exit("making hosts needs root and Debian's iproute2")
    words = [f"--{name}={getattr(given, name)}" for name in ("gbit", "rounds", "layers", "batch")]
    sys.exit(start(given.gbit, words))


if __name__ == "__main__":
    main()
