"""A real server over a real socket: submitting, following, listing, and everything that is refused."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2

from allgrad.server import (
    LAUNCHER_LOG,
    Alert,
    AllgradError,
    Client,
    Job,
    JobState,
    Metrics,
    StateChanged,
    errors,
    serve,
)

if TYPE_CHECKING:
    from tests.server.conftest import ServerProcess

Script = Callable[[str], str]
Finished = Callable[[Client, Job], Job]
Eventually = Callable[[Callable[[], object]], None]


def test_a_job_runs_and_its_losses_arrive_in_order(client: Client, job_script: Script) -> None:
    job = client.submit([job_script("reporting"), "5", "0.01"], name="descent")
    assert (job.state, job.name) == (JobState.QUEUED, "descent")
    events = list(client.watch(job.id))
    states = [event.state for event in events if isinstance(event, StateChanged)]
    assert states == [JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.SUCCEEDED]
    losses = [event.values["loss"] for event in events if isinstance(event, Metrics)]
    assert losses == [1 / step for step in range(1, 6)]
    cursors = [event.cursor for event in events]
    assert cursors == sorted(set(cursors))
    job = client.get(job.id)
    assert (job.exit_code, job.attempt, job.reason) == (0, 1, "")
    assert job.created <= (job.started or 0) <= (job.finished or 0)


def test_watching_from_a_cursor_gives_exactly_what_came_after_it(
    client: Client, job_script: Script, finished: Finished
) -> None:
    job = finished(client, client.submit([job_script("reporting"), "5", "0"]))
    events = list(client.watch(job.id))
    for number, event in enumerate(events[:-1]):
        assert list(client.watch(job.id, event.cursor)) == events[number + 1 :]


def test_a_cursor_ahead_of_the_job_is_an_error_and_not_silence(
    client: Client, job_script: Script, finished: Finished
) -> None:
    job = finished(client, client.submit([job_script("reporting"), "1", "0"]))
    with pytest.raises(errors.CursorAhead, match="its last event has cursor"):
        list(client.watch(job.id, 10_000))


def test_a_loss_that_becomes_nan_is_told_once_and_stays_on_the_job(
    client: Client, job_script: Script, finished: Finished
) -> None:
    job = finished(client, client.submit([job_script("reporting"), "4", "0", "3"]))
    events = list(client.watch(job.id))
    alerts = [event.message for event in events if isinstance(event, Alert)]
    assert alerts == ["loss became NaN at step 3"]
    assert job.warning == "loss became NaN at step 3"
    nan = next(event for event in events if isinstance(event, Metrics) and event.step == 3)
    assert math.isnan(nan.values["loss"])


def test_a_step_that_no_message_can_hold_costs_its_own_line_and_not_the_job(
    client: Client, finished: Finished, tmp_path: Path
) -> None:
    lines = "".join(f"line({seq}, {step})\n" for seq, step in enumerate((1, 2**63, 3), 1))
    script = tmp_path / "counting.py"
    script.write_text(f"import os, zlib\n{_WRITE_LINE}{lines}")
    job = finished(client, client.submit([str(script)]))
    assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
    events = list(client.watch(job.id))
    assert [event.step for event in events if isinstance(event, Metrics)] == [1, 3]
    assert [event.message.partition(":")[0] for event in events if isinstance(event, Alert)] == [
        "line 2 of the journal is lost"
    ]


_WRITE_LINE = """
def line(seq, step):
    body = f'{{"seq":{seq},"time":1.5,"kind":"metrics","step":{step},"values":{{"loss":1}}'
    with open(os.environ["ALLGRAD_RUN_DIR"] + "/journal.jsonl", "a") as file:
        file.write(f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\\n')
"""


@pytest.mark.parametrize("settings", [{"stall_after": 0.5}, {}], ids=["by its rhythm", "by a limit of its own"])
def test_a_job_that_falls_silent_is_told_once_and_again_when_it_goes_on(
    server_with: Callable[..., ServerProcess], job_script: Script, settings: dict[str, float]
) -> None:
    with server_with(**settings).client() as client:
        limit = None if settings else 0.5
        job = client.submit([job_script("reporting"), "9", "0.01", "2", "8"], stall_after=limit)
        alerts = (event.message for event in client.watch(job.id) if isinstance(event, Alert))
        assert next(alerts) == "loss became NaN at step 2"
        assert next(alerts).startswith("nothing was reported for ")
        assert "; nothing was reported for " in client.get(job.id).warning
        Path(job.output_dir, "go").touch()
        assert next(alerts).startswith("it reports again, after ")
        assert list(alerts) == []
        assert client.get(job.id).warning == "loss became NaN at step 2"


def test_two_ranks_run_under_mpirun_and_each_has_its_log(
    client: Client, job_script: Script, finished: Finished
) -> None:
    job = finished(client, client.submit([job_script("reporting"), "2", "0"], ranks=2))
    assert job.state is JobState.SUCCEEDED
    for rank in (0, 1):
        text = b"".join(chunk.data for chunk in client.logs(job.id, rank))
        assert text == f"rank {rank} step 1\nrank {rank} step 2\n".encode()
    both = {chunk.rank for chunk in client.logs(job.id, None)}
    assert both == {0, 1}


def test_following_a_log_ends_with_the_job_and_misses_nothing(client: Client, job_script: Script) -> None:
    job = client.submit([job_script("reporting"), "20", "0.02"])
    text = b"".join(chunk.data for chunk in client.logs(job.id, follow=True))
    assert text.decode().splitlines() == [f"rank 0 step {step}" for step in range(1, 21)]
    assert client.get(job.id).state.terminal


def test_a_tail_gives_the_last_lines_of_each_rank_and_goes_on_from_there(
    client: Client, job_script: Script, eventually: Eventually
) -> None:
    job = client.submit([job_script("reporting"), "9", "0", "0", "7"], ranks=2)
    eventually(lambda: sum(chunk.data.count(b"\n") for chunk in client.logs(job.id, rank=None)) == 12)
    told = [chunk.data for chunk in client.logs(job.id, rank=None, tail=2)]
    assert sorted(told) == [b"rank 0 step 5\nrank 0 step 6\n", b"rank 1 step 5\nrank 1 step 6\n"]
    chunks = client.logs(job.id, rank=1, tail=1, follow=True)
    assert next(chunks).data == b"rank 1 step 6\n"
    Path(job.output_dir, "go").touch()
    assert b"".join(chunk.data for chunk in chunks) == b"rank 1 step 7\nrank 1 step 8\nrank 1 step 9\n"


def test_a_log_read_from_an_offset_gives_the_rest(client: Client, job_script: Script, finished: Finished) -> None:
    job = finished(client, client.submit([job_script("chatter"), "10"]))
    (chunk,) = client.logs(job.id, 0, 900)
    assert (chunk.offset, chunk.data) == (900, f"{9:099d}\n".encode())


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(
    ("how", "code", "reason"),
    [("raise", 1, "ValueError: the data are bad"), ("exit", 3, "exit code 3"), ("kill", 137, "SIGKILL")],
)
def test_a_failing_rank_fails_the_job_with_its_code_and_reason(
    client: Client, job_script: Script, finished: Finished, how: str, code: int, reason: str, ranks: int
) -> None:
    who = str(ranks - 1)
    job = finished(client, client.submit([job_script("failing"), how, who], ranks=ranks))
    assert (job.state, job.exit_code) == (JobState.FAILED, code)
    assert reason in job.reason
    rank_is_told = how != "kill" or (ranks > 1 and "Open MPI" in client.info().mpi)
    assert (f"rank {who}" in job.reason) == rank_is_told


def test_a_program_that_is_no_script_runs_too(client: Client, finished: Finished) -> None:
    job = finished(client, client.submit(["sh", "-c", "echo $GREETING; exit 7"], env={"GREETING": "hello"}))
    assert (job.state, job.exit_code) == (JobState.FAILED, 7)
    assert [chunk.data for chunk in client.logs(job.id)] == [b"hello\n"]


def test_the_same_request_id_is_the_same_job(client: Client) -> None:
    jobs = {client.submit(["true"], request_id="once").id for _ in range(5)}
    assert len(jobs) == 1


def test_a_request_id_cannot_be_used_for_another_job(client: Client) -> None:
    client.submit(["true"], request_id="taken")
    with pytest.raises(errors.RequestIdTaken, match="use a new id"):
        client.submit(["false"], request_id="taken")


def test_jobs_are_listed_newest_first_page_by_page(own_server: ServerProcess) -> None:
    with own_server.client() as client:
        made = [client.submit(["true"]).id for _ in range(5)]
        jobs, token = client.page(page_size=2)
        assert [job.id for job in jobs] == made[:2:-1]
        jobs, token = client.page(page_size=2, page_token=token)
        assert [job.id for job in jobs] == made[2:0:-1]
        assert [job.id for job in client.list(page_size=2)] == made[::-1]


def test_a_page_token_is_good_only_for_the_list_that_gave_it(own_server: ServerProcess) -> None:
    with own_server.client() as client:
        for _ in range(3):
            client.submit(["true"])
        _, token = client.page(page_size=1)
        with pytest.raises(errors.InvalidRequest, match="page token"):
            client.page(JobState.FAILED, page_token=token)
        with pytest.raises(errors.InvalidRequest, match="page token"):
            client.page(page_token="bm9uc2Vuc2U=")


def test_a_job_waits_for_its_slots_and_says_so(client: Client, job_script: Script, eventually: Eventually) -> None:
    wide = client.submit([job_script("careful")], ranks=4)
    eventually(lambda: client.get(wide.id).state.holds_slots)
    waiting = client.submit(["true"], ranks=1)
    assert waiting.state is JobState.QUEUED
    assert waiting.reason.startswith("waits for 1 slot: 0 of 4 free")
    assert client.cancel(waiting.id).state is JobState.CANCELLED
    client.cancel(wide.id)
    for _ in client.watch(wide.id):
        pass
    assert client.info().free_slots == 4


@pytest.mark.parametrize(
    ("argv", "ranks", "says"),
    [
        (["absent.py"], 1, "no such script"),
        (["no-such-program"], 1, "no such script or program"),
        ([], 1, "the command is empty"),
        (["true"], 0, "ask for 1 or more"),
        (["true"], 5, "the server has 4 slots.*--slots 5"),
    ],
)
def test_what_could_never_run_is_refused_at_submit(client: Client, argv: list[str], ranks: int, says: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=says) as refused:
        client.submit(argv, ranks=ranks)
    assert refused.value.exit_code == 2


def test_a_folder_that_is_not_there_is_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidRequest, match="no such folder"):
        client.submit(["true"], workdir=tmp_path / "absent")


@pytest.mark.parametrize("call", ["get", "cancel", "watch", "logs"])
def test_an_unknown_job_is_not_found(client: Client, call: str) -> None:
    with pytest.raises(errors.JobNotFound, match="no job 'nonsense'") as refused:
        list(getattr(client, call)("nonsense"))
    assert refused.value.exit_code == 5


def test_a_rank_that_the_job_does_not_have_is_refused(client: Client) -> None:
    job = client.submit(["true"])
    with pytest.raises(errors.InvalidRequest, match="has no rank 3"):
        list(client.logs(job.id, 3))
    assert list(client.logs(job.id, LAUNCHER_LOG, follow=True)) == []


def test_a_wrong_token_is_refused(server: ServerProcess) -> None:
    with (
        Client(home=server.home, token="wrong") as client,
        pytest.raises(errors.Unauthenticated, match="ALLGRAD_TOKEN") as refused,
    ):
        client.info()
    assert refused.value.exit_code == 4


def test_a_client_without_a_token_says_where_it_looked(server: ServerProcess, tmp_path: Path) -> None:
    address = Path(server.home, "server.json").read_text().split('"')[3]
    with pytest.raises(errors.Unauthenticated, match="there is none in"):
        Client(address, home=tmp_path).info()


def check_health(server: ServerProcess, token: str | None) -> int:
    """Ask the standard health service, as any tool would."""
    address = Path(server.home, "server.json").read_text().split('"')[3]
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        metadata = (("authorization", f"Bearer {token}"),) if token else None
        question = health_pb2.HealthCheckRequest(service="allgrad.v1.JobService")
        return int(check(question, metadata=metadata, timeout=60).status)


def test_without_a_token_not_even_health_answers(server: ServerProcess) -> None:
    with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
        check_health(server, None)


def test_health_says_serving(server: ServerProcess) -> None:
    token = Path(server.home, "token").read_text().strip()
    assert check_health(server, token) == health_pb2.HealthCheckResponse.SERVING


def test_the_token_is_readable_by_its_owner_only(server: ServerProcess) -> None:
    for name in ("token", "state.db", "metrics.db"):
        assert os.stat(server.home / name).st_mode & 0o077 == 0


def test_no_server_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(errors.ServerUnreachable, match="allgrad serve") as refused:
        Client(home=tmp_path).info()
    assert refused.value.exit_code == 3
    with pytest.raises(errors.ServerUnreachable, match="nothing answers at"):
        Client("127.0.0.1:9", token="any").info()


def test_a_taken_port_is_refused_and_never_shared(server: ServerProcess, tmp_path: Path) -> None:
    port = int(Path(server.home, "server.json").read_text().split('"')[3].rpartition(":")[2])
    code = f"from allgrad.server import serve; serve({str(tmp_path)!r}, port={port})"
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode != 0
    assert f"cannot serve at 127.0.0.1:{port}; the port is taken" in second.stderr


def test_a_second_server_on_the_same_folder_is_refused(server: ServerProcess) -> None:
    with pytest.raises(errors.CannotServe, match="the server with pid"):
        serve(server.home, port=0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org"])
def test_nothing_but_this_machine_is_served(host: str, tmp_path: Path) -> None:
    with pytest.raises(errors.CannotServe, match="ssh tunnel"):
        serve(tmp_path, host=host)


def test_every_error_has_a_reason_of_its_own() -> None:
    def tree(root: type[AllgradError]) -> list[type[AllgradError]]:
        return [root] + [found for child in root.__subclasses__() for found in tree(child)]

    reasons = [error.reason for error in tree(AllgradError)]
    assert len(reasons) == len(set(reasons))


def test_a_server_that_stops_says_that_its_jobs_go_on(
    own_server: ServerProcess, job_script: Script, eventually: Callable[[Callable[[], object]], None]
) -> None:
    with own_server.client() as client:
        job = client.submit([job_script("reporting"), "40", "0.05"])
        eventually(lambda: client.get(job.id).state is JobState.RUNNING)
        said = own_server.stop()
        assert "1 job(s) go on running" in said
        own_server.start()
        assert [listed.id for listed in client.list()] == [job.id]
        *_, last = client.watch(job.id)
        assert isinstance(last, StateChanged)
        assert last.state is JobState.SUCCEEDED
