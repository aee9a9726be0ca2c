"""Hosts as a person names them, and what each MPI is told of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from allgrad.server import launchers
from allgrad.server.errors import HostUnreachable, InvalidRequest
from allgrad.server.launchers import Host, Hydra, Launcher, OpenMPI, reach, surroundings
from allgrad.server.launchers.hosts import over_ssh

HOSTS = (Host("a", 2), Host("b", 1))
OPEN_MPI = OpenMPI("/opt/mpi/bin/mpirun", "5.0.11", hosts=HOSTS)
MPICH = Hydra("/opt/mpich/bin/mpirun", "MPICH", "5.0.2", hosts=HOSTS)
INTEL = Hydra("/opt/intel/bin/mpirun", "Intel MPI", "2021.17", hosts=HOSTS)
GIVEN = {"ALLGRAD_SSH": "ssh -p 2222", "PATH": "/bin", "HOME": "/root", "DATA": "/data"}


@pytest.fixture(autouse=True)
def own_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLGRAD_SSH", GIVEN["ALLGRAD_SSH"])


def argv(launcher: Launcher) -> str:
    return " ".join(launchers.command(launcher, ["train.py"], 3, environ=GIVEN, forward=["DATA"]).argv)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("a:2,b:2", [Host("a", 2), Host("b", 2)]),
        ("a, b", [Host("a"), Host("b")]),
        ("a,a,b:2,a:1", [Host("a", 3), Host("b", 2)]),
        ("10.0.0.1:4,[fe80::1]:2,[fe80::2]", [Host("10.0.0.1", 4), Host("[fe80::1]", 2), Host("[fe80::2]")]),
    ],
)
def test_hosts_are_named_with_their_ranks(text: str, hosts: list[Host]) -> None:
    assert list(launchers.parse_hosts(text)) == hosts


@pytest.mark.parametrize("text", ["a:", "a:0", "a:-1", "a:x", "-oProxyCommand=x", "a b", "a;b", "$(x)", "a:²"])
def test_what_is_no_host_is_refused_before_ssh_sees_it(text: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot use the host"):
        launchers.parse_hosts(text)


def test_a_hostfile_of_either_mpi_is_read() -> None:
    text = "# a cluster\n\nw-0.job.ns.svc slots=2\nw-1.job.ns.svc slots=2 max_slots=4 # the other\nc:3\nd\n"
    assert [str(host) for host in launchers.read_hostfile(text)] == [
        "w-0.job.ns.svc:2",
        "w-1.job.ns.svc:2",
        "c:3",
        "d:1",
    ]


def test_ranks_fill_the_first_hosts_first_and_never_more_than_there_is_room() -> None:
    hosts = launchers.parse_hosts("a:2,b:2,c:2")
    assert [str(host) for host in launchers.deal(hosts, 5)] == ["a:2", "b:2", "c:1"]
    with pytest.raises(InvalidRequest, match=r"7 ranks do not fit .*they have 6 slots"):
        launchers.deal(hosts, 7)


def test_open_mpi_is_told_hosts_ssh_its_prefix_and_each_variable() -> None:
    told = argv(OPEN_MPI)
    assert told.startswith("/opt/mpi/bin/mpirun --prefix /opt/mpi --output tag ")
    assert " --host a:2,b:1 " in told
    assert " --prtemca plm_ssh_agent ssh --prtemca plm_ssh_args -o BatchMode=yes -o ConnectTimeout=10 -p 2222 " in told
    assert " --prtemca plm_ssh_no_tree_spawn 1 " in told
    assert " -x DATA " in told
    assert " -x PATH " in told
    assert " -x OMPI_MCA_btl " in told
    assert " -x HOME " not in told
    assert " -n 3 --map-by slot:OVERSUBSCRIBE --bind-to none " in told


def test_mpich_is_told_hosts_and_ssh() -> None:
    told = argv(MPICH)
    assert told.startswith("/opt/mpich/bin/mpirun -launcher ssh -prepend-rank -launcher-exec ssh -genvlist ")
    assert ",DATA," in told
    assert ",PATH -hosts a:2,b:1 -n 3 " in told
    env = launchers.command(MPICH, ["train.py"], 3, environ=GIVEN).env
    assert env["HYDRA_LAUNCHER_EXTRA_ARGS"].endswith("-p 2222")
    assert env["MPIR_CVAR_CH4_NETMOD"] == "ofi"
    assert (
        launchers.command(MPICH, ["train.py"], 3, environ={"MPIR_CVAR_CH4_NETMOD": "ucx"}).env["MPIR_CVAR_CH4_NETMOD"]
        == "ucx"
    )


def test_mpich_does_without_its_shared_memory_where_hosts_have_unequal_ranks() -> None:
    assert launchers.command(MPICH, ["train.py"], 3, environ=GIVEN).env["MPIR_CVAR_NOLOCAL"] == "1"
    equal = replace(MPICH, hosts=(Host("a", 2), Host("b", 2)))
    assert "MPIR_CVAR_NOLOCAL" not in launchers.command(equal, ["train.py"], 4, environ=GIVEN).env


def test_mpich_never_has_a_variable_of_ours_last_which_it_would_not_pass_on() -> None:
    assert list(launchers.command(MPICH, ["train.py"], 3, environ=GIVEN).env)[-1] == "HYDRA_PASSED_OVER"


def test_intel_mpi_is_told_each_host_with_its_ranks() -> None:
    told = argv(INTEL)
    assert " -bootstrap ssh -prepend-rank -bootstrap-exec ssh " in told
    sets = told.partition(" -host ")[2].split(" : ")
    assert [words.split()[:3] for words in sets] == [["a", "-n", "2"], ["-host", "b", "-n"]]
    assert all(words.endswith("-m allgrad.dist.rank train.py") for words in sets)
    assert launchers.command(INTEL, ["train.py"], 3, environ=GIVEN).env["I_MPI_PIN"] == "0"


def test_within_slurm_ranks_start_by_slurms_own_means() -> None:
    open_mpi = OpenMPI("/opt/mpi/bin/mpirun", "5.0.11", slurm=True)
    assert "--host " not in argv(open_mpi)
    assert " --output tag " in argv(open_mpi)
    hydra = Hydra("/opt/mpich/bin/mpirun", "MPICH", "5.0.2", slurm=True)
    assert " -launcher slurm -prepend-rank " in argv(hydra)


def test_on_other_hosts_each_rank_counts_its_own_cores() -> None:
    assert "OMP_NUM_THREADS" not in launchers.command(OPEN_MPI, ["train.py"], 3, environ=GIVEN).env
    assert launchers.command(OPEN_MPI, ["train.py"], 3, environ=GIVEN, threads=4).env["OMP_NUM_THREADS"] == "4"


def test_what_runs_over_ssh_is_one_line_that_no_shell_takes_apart() -> None:
    command = over_ssh(["ssh"], "a", ["python", "-c", "print('x; $y')"], {"PYTHONPATH": "/a b"})
    assert command == ["ssh", "a", """env 'PYTHONPATH=/a b' python -c 'print('"'"'x; $y'"'"')'"""]


def test_a_host_that_cannot_be_reached_is_named_with_what_to_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLGRAD_SSH", "/nonexistent/ssh -p 2222")
    (found,) = reach.look([Host("a.example")], "/")
    assert isinstance(found.trouble, HostUnreachable)
    assert "cannot reach the host a.example" in str(found.trouble)
    assert "try /nonexistent/ssh" in str(found.trouble)
    assert reach.sweep([Host("a.example")], "run-1", 1, 0.0, {})[0].startswith("processes may be left on a.example")


@pytest.mark.parametrize(
    ("environ", "world", "nodes", "tasks"),
    [
        ({}, 1, 0, 0),
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "0"}, 4, 0, 0),
        ({"PMI_SIZE": "2", "PMI_RANK": "0", "MPI_LOCALNRANKS": "2"}, 2, 0, 0),
        ({"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "3"}, 3, 0, 0),
        ({"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, 1, 2, 8),
        ({"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "4"}, 1, 1, 4),
    ],
)
def test_the_surroundings_are_told_by_the_environment(
    environ: dict[str, str], world: int, nodes: int, tasks: int
) -> None:
    found = surroundings(environ)
    assert (found.world, found.nodes, found.tasks) == (world, nodes, tasks)


def test_a_hostfile_that_is_named_but_missing_is_not_passed_over() -> None:
    with pytest.raises(InvalidRequest, match="cannot read the hostfile /nonexistent"):
        surroundings({"OMPI_MCA_orte_default_hostfile": "/nonexistent"})
