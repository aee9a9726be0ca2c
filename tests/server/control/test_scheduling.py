"""A real server that pauses, retries, orders, limits and sweeps jobs, and says why they wait."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, PreconditionFailure, ResourceInfo
from grpc_status import rpc_status

from allgrad.proto import jobs_pb2 as pb
from allgrad.proto.jobs_pb2_grpc import JobServiceStub
from allgrad.server import (
    After,
    CheckpointPolicy,
    Client,
    Dependency,
    EarlyStopping,
    Event,
    FailureKind,
    Job,
    JobState,
    Metrics,
    RetryRule,
    StateChanged,
    errors,
)

if TYPE_CHECKING:
    from tests.server.conftest import ServerProcess

Script = Callable[[str], str]
Finished = Callable[[Client, Job], Job]
Eventually = Callable[[Callable[[], object]], None]


def steps(client: Client, job: Job) -> list[int]:
    return [event.step for event in client.watch(job.id) if isinstance(event, Metrics)]


def states(client: Client, job: Job) -> list[JobState]:
    return [event.state for event in client.watch(job.id) if isinstance(event, StateChanged)]


def text_of(client: Client, job: Job, **options: Any) -> str:
    return b"".join(chunk.data for chunk in client.logs(job.id, **options)).decode()


@pytest.fixture
def full(client: Client, job_script: Script, finished: Finished, eventually: Eventually) -> Iterator[Job]:
    """A job that holds all four slots."""
    job = client.submit([job_script("careful")], ranks=4)
    eventually(lambda: client.get(job.id).state.holds_slots)  # once what earlier tests have left running has ended
    yield job
    client.cancel(job.id)
    finished(client, job)


def test_a_paused_job_goes_on_from_its_checkpoint(
    client: Client, job_script: Script, finished: Finished, eventually: Eventually
) -> None:
    job = client.submit([job_script("resuming"), "60", "0.05"])
    assert next(event for event in client.watch(job.id) if isinstance(event, Metrics)), "by now it heeds SIGTERM"
    assert client.pause(job.id).state is JobState.STOPPING
    eventually(lambda: client.get(job.id).state is JobState.PAUSED)
    paused = client.get(job.id)
    assert paused.checkpoint.startswith(paused.output_dir)
    assert client.explain(job.id).causes == (f"paused; go on with: allgrad resume {job.id}",)
    assert client.pause(job.id).state is JobState.PAUSED
    client.resume(job.id)
    job = finished(client, job)
    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 2)
    assert steps(client, job) == list(range(1, 61))
    assert JobState.PAUSED in states(client, job)
    assert text_of(client, job, attempt=1) == "attempt 1 from step 0\n"
    assert text_of(client, job) == f"attempt 2 from step {os.path.basename(paused.checkpoint)[5:]}\n"


def test_a_job_paused_in_the_queue_is_not_started_until_it_is_resumed(
    client: Client, full: Job, finished: Finished
) -> None:
    job = client.submit(["true"])
    assert client.pause(job.id).state is JobState.PAUSED
    later = client.submit(["true"])
    client.cancel(full.id)
    assert finished(client, later).state is JobState.SUCCEEDED
    assert client.get(job.id).state is JobState.PAUSED
    client.resume(job.id)
    assert finished(client, job).state is JobState.SUCCEEDED


def test_a_failed_attempt_is_tried_again_from_its_checkpoint_and_its_logs_follow_on(
    client: Client, job_script: Script
) -> None:
    job = client.submit([job_script("resuming"), "5", "0", "3"], retries=[RetryRule(2, backoff=0.1)])
    assert text_of(client, job, follow=True) == "attempt 1 from step 0\nattempt 2 from step 3\n"
    job = client.get(job.id)
    assert (job.state, job.attempt, job.failures) == (JobState.SUCCEEDED, 2, {"exit": 1})
    assert steps(client, job) == [1, 2, 3, 4, 5]
    reasons = [event.reason for event in client.watch(job.id) if isinstance(event, StateChanged)]
    assert "retry 1 of 2 after: rank 0" in "; ".join(reasons)


def test_retries_come_to_an_end_and_a_pause_says_until_when(
    client: Client, finished: Finished, eventually: Eventually
) -> None:
    job = client.submit(["false"], retries=[RetryRule(1, FailureKind.EXIT_CODE, backoff=1.0)])
    eventually(lambda: "pauses until" in client.get(job.id).reason)
    job = finished(client, job)
    assert (job.state, job.exit_code, job.attempt) == (JobState.FAILED, 1, 2)


def test_a_job_that_runs_too_long_is_ended_and_says_so(client: Client, finished: Finished) -> None:
    job = finished(client, client.submit(["sleep", "60"], max_runtime=0.3))
    assert (job.state, job.exit_code) == (JobState.FAILED, 124)
    assert job.reason == "it ran longer than the 0.3 s that it may"


def test_a_signal_is_another_kind_of_failure_than_an_exit_code(
    client: Client, job_script: Script, finished: Finished
) -> None:
    rules = [RetryRule(1, FailureKind.SIGNAL, backoff=0.0)]
    killed = finished(client, client.submit([job_script("failing"), "kill", "0"], retries=rules))
    assert (killed.attempt, killed.failures) == (2, {"signal": 1})
    assert finished(client, client.submit(["false"], retries=rules)).attempt == 1


def test_jobs_wait_for_others_and_are_cancelled_if_those_fail(client: Client, full: Job, finished: Finished) -> None:
    first = client.submit(["false"])
    success = client.submit(["true"], after=[first.id])
    end = client.submit(["true"], after=[Dependency(first.id, After.END)])
    assert client.get(success.id).reason == f"waits for the success of job {first.id}, which is queued"
    with pytest.raises(errors.JobStateConflict, match="it is QUEUED"):
        client.delete(first.id)
    client.cancel(full.id)
    assert finished(client, end).state is JobState.SUCCEEDED
    success = finished(client, success)
    assert (success.state, success.reason) == (
        JobState.CANCELLED,
        f"job {first.id}, after whose success it was to run, has failed",
    )
    with pytest.raises(errors.InvalidRequest, match="that job is FAILED"):
        client.submit(["true"], after=[first.id])
    with pytest.raises(errors.InvalidRequest, match="there is no such job"):
        client.submit(["true"], after=["nonsense"])


def test_the_highest_priority_starts_first_also_if_it_is_raised_later(
    client: Client, full: Job, finished: Finished
) -> None:
    low, middle, high = (client.submit(["true"], ranks=4, priority=priority) for priority in (0, 1, 2))
    assert client.explain(low.id).causes == ("waits for 4 slots: 0 of 4 free", f"behind job {high.id} and 1 other")
    assert client.change_priority(low.id, 3).priority == 3
    client.cancel(full.id)
    started = [finished(client, job).started or 0.0 for job in (low, high, middle)]
    assert started == sorted(started)


def test_a_job_of_low_priority_makes_room_and_goes_on_afterwards(
    client: Client, job_script: Script, finished: Finished
) -> None:
    policy = CheckpointPolicy(preemptible=True, grace=60.0, interval=60.0)
    low = client.submit([job_script("resuming"), "200", "0.03"], checkpoint=policy)
    assert next(event for event in client.watch(low.id) if isinstance(event, Metrics)), "by now it heeds SIGTERM"
    urgent = client.submit(["true"], ranks=4, priority=10)
    assert finished(client, urgent).state is JobState.SUCCEEDED
    low = finished(client, low)
    assert (low.state, low.attempt) == (JobState.SUCCEEDED, 2)
    assert steps(client, low) == list(range(1, 201))


def test_jobs_are_found_by_state_label_name_and_time(client: Client, finished: Finished) -> None:
    before = time.time()
    cat = finished(client, client.submit(["true"], name="Cat one", labels={"animal": "cat", "size": "s"}))
    dog = finished(client, client.submit(["false"], name="dog one", labels={"animal": "dog"}))

    def found(**filters: Any) -> set[str]:
        return {job.id for job in client.list(since=before, **filters)}

    assert found() == {cat.id, dog.id}
    assert found(labels="animal=cat") == {cat.id}
    assert found(labels="animal!=cat") == found(labels="!size") == {dog.id}
    assert found(labels="animal,size=s") == {cat.id}
    assert found(name="cat") == {cat.id}
    assert found(state=JobState.FAILED) == {dog.id}
    assert found(state=[JobState.FAILED, JobState.SUCCEEDED]) == {cat.id, dog.id}
    assert found(until=before) == set()
    with pytest.raises(errors.InvalidRequest, match="label selector"):
        found(labels="a=b=c")


def test_a_deleted_job_is_gone_with_its_files(
    client: Client, server: ServerProcess, job_script: Script, finished: Finished
) -> None:
    job = client.submit([job_script("reporting"), "3", "0"], request_id="deleted")
    with pytest.raises(errors.JobStateConflict, match="allgrad cancel"):
        client.delete(job.id)
    finished(client, job)
    client.delete(job.id)
    with pytest.raises(errors.JobNotFound):
        client.get(job.id)
    assert not list((server.home / "jobs").glob(f"*{job.id}*"))
    again = client.submit([job_script("reporting"), "2", "0"], request_id="deleted")
    finished(client, again)
    assert again.id != job.id
    assert steps(client, again) == [1, 2]


def test_a_sweep_runs_every_point_of_its_grid_and_no_more_at_once_than_may(client: Client, finished: Finished) -> None:
    grid: dict[str, list[object]] = {"lr": [0.1, 0.01], "depth": [1, 2]}
    argv = ["sh", "-c", "echo {lr} $@; sleep 0.2", "sh"]
    sweep = client.submit_sweep(argv, grid, max_parallel=1, request_id="sweep", labels={"team": "a"})
    assert client.submit_sweep(argv, grid, max_parallel=1, request_id="sweep", labels={"team": "a"}).id == sweep.id
    with pytest.raises(errors.RequestIdTaken):
        client.submit_sweep(argv, grid, request_id="sweep")
    assert f"1 job of sweep {sweep.id} runs" in client.get(sweep.jobs[-1].id).reason
    jobs = [finished(client, job) for job in sweep.jobs]
    said = [text_of(client, job) for job in jobs]
    assert said == ["0.1 --depth 1\n", "0.1 --depth 2\n", "0.01 --depth 1\n", "0.01 --depth 2\n"]
    for job, following in itertools.pairwise(jobs):
        assert (following.started or 0) >= (job.finished or 0)
    assert {job.id for job in client.list(labels="lr=0.1,team=a", sweep=sweep.id)} == {jobs[0].id, jobs[1].id}
    assert [job.state for job in client.sweep(sweep.id).jobs] == [JobState.SUCCEEDED] * 4
    assert sweep.id in [each.id for each in client.sweeps()]


def so_far(client: Client, job: Job) -> Iterator[Event]:
    """The events of a job up to now."""
    for event in client.watch(job.id, heartbeats=True):
        yield event
        if isinstance(event, Metrics) and event.step >= 2:
            return


def test_the_worst_jobs_of_a_sweep_are_stopped_early(
    client: Client, job_script: Script, finished: Finished, eventually: Eventually
) -> None:
    rule = EarlyStopping("loss", first_step=2)
    sweep = client.submit_sweep(
        [job_script("descent"), "200", "0.05", "{scale}"], {"scale": [1, 50]}, max_parallel=1, early_stopping=rule
    )
    good, bad = sweep.jobs
    eventually(lambda: any(isinstance(event, Metrics) and event.step == 2 for event in so_far(client, good)))
    client.cancel(good.id)
    bad = finished(client, bad)
    assert bad.state is JobState.CANCELLED
    assert bad.reason.startswith("stopped early: loss")


def test_a_cancelled_sweep_leaves_no_job_waiting(client: Client, finished: Finished) -> None:
    sweep = client.submit_sweep(["sleep", "60"], {"n": range(6)}, max_parallel=2)
    client.cancel_sweep(sweep.id)
    assert {finished(client, job).state for job in sweep.jobs} == {JobState.CANCELLED}
    with pytest.raises(errors.SweepNotFound):
        client.sweep("nonsense")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"priority": 101}, "from -100 to 100"),
        ({"threads": -1}, "ask for 1 or more"),
        ({"max_runtime": 0}, "cannot run that short"),
        ({"labels": {"a b": "c"}}, "keys are up to 63"),
        ({"labels": {"a": "b,c"}}, "values up to 200"),
        ({"retries": -1}, "no negative pauses"),
        ({"retries": [RetryRule(1), RetryRule(2)]}, "two rules are for one kind"),
        ({"threads": 3, "ranks": 2}, "2 ranks with 3 threads cannot run here"),
        ({"env": {"ALLGRAD_RESUME": "x"}}, "cannot be set"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_submit(client: Client, options: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=says):
        client.submit(["true"], **options)


@pytest.mark.parametrize(
    ("grid", "says"), [({}, "it has 0 points"), ({"a": []}, "each once"), ({"a": range(1001)}, "1001 points")]
)
def test_a_grid_that_cannot_be_used_is_refused(client: Client, grid: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=says):
        client.submit_sweep(["true"], grid)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda client: client.submit(["true"], max_runtme=60), "no option 'max_runtme'; there are priority, after"),
        (lambda client: client.submit("true"), "argv is a sequence of str, and got 'true'"),
        (
            lambda client: client.submit(["true"], after="abc"),
            "after is a sequence of job ids or Dependency, and got 'abc'",
        ),
        (lambda client: client.submit(["sleep", 60]), r"argv is a sequence of str, and got \['sleep', 60\]"),
        (lambda client: client.submit(["x"], ranks="two"), "ranks is an int, and got 'two'"),
        (lambda client: client.submit(["x"], ranks=True), "ranks is an int, and got True"),
        (lambda client: client.submit(["x"], env={1: 2}), "env is a mapping of str to str, and got {1: 2}"),
        (lambda client: client.submit(["x"], labels=["a"]), r"labels is a mapping of str to str, and got \['a'\]"),
        (lambda client: client.submit(["x"], request_id=3), "request_id is a str, and got 3"),
        (lambda client: client.submit(["x"], name=3), "name is a str, and got 3"),
        (lambda client: client.submit(["x"], workdir=3), "workdir is a path, and got 3"),
        (lambda client: client.submit(["x"], max_runtime="2h"), "max_runtime is a number of seconds, and got '2h'"),
        (
            lambda client: client.submit(["x"], retries="3"),
            "retries is an int, or a sequence of RetryRule, and got '3'",
        ),
        (lambda client: client.submit(["x"], hosts=["a:2"]), r"or a sequence of Host, and got \['a:2'\]"),
        (lambda client: client.submit(["x"], checkpoint={}), "checkpoint is a CheckpointPolicy, and got {}"),
        (lambda client: client.submit_sweep(["x"], [1]), r"grid is a mapping of names to values, and got \[1\]"),
        (lambda client: client.submit_sweep(["x"], {"a": 3}), "the grid's 'a' is a sequence, and got 3"),
        (
            lambda client: client.submit_sweep(["x"], {"a": [1]}, max_parallel=1.5),
            "max_parallel is an int, and got 1.5",
        ),
        (lambda client: list(client.list(state="running")), "state is a JobState, or several, and got 'running'"),
        (lambda client: list(client.list(since="1h")), "since is a number of seconds, and got '1h'"),
        (lambda client: client.page(labels={"a": "b"}), "labels is a str, and got {'a': 'b'}"),
        (lambda client: client.submit_sweep(["true"], {"a": "xyz"}), "the grid's 'a' is a sequence, and got 'xyz'"),
    ],
)
def test_a_misspelt_option_or_one_of_another_kind_is_told_by_its_name_and_makes_no_job(
    client: Client, call: Callable[[Client], object], says: str
) -> None:
    before = len(list(client.list()))
    with pytest.raises(TypeError, match=says):
        call(client)
    assert len(list(client.list())) == before


def test_an_option_that_is_none_counts_as_not_said_and_an_unknown_launcher_is_refused(client: Client) -> None:
    options: dict[str, Any] = {"priority": None, "retries": None, "labels": None, "checkpoint": None, "launcher": None}
    assert client.submit(["true"], **options).spec == client.submit(["true"]).spec
    with pytest.raises(ValueError, match="launcher is one of mpirun, slurm, kubernetes, and got 'pbs'"):
        client.submit(["true"], launcher="pbs")


def details(server: ServerProcess, call: Callable[[JobServiceStub, Any], object]) -> set[str]:
    """The types of the details with which a call is refused."""
    address = (server.home / "server.json").read_text().split('"')[3]
    metadata = (("authorization", f"Bearer {(server.home / 'token').read_text().strip()}"),)
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as refused:
        call(JobServiceStub(channel), metadata)
    assert isinstance(refused.value, grpc.Call)
    status = rpc_status.from_call(refused.value)
    assert status is not None
    return {detail.TypeName() for detail in status.details} - {"google.rpc.ErrorInfo"}


def test_each_refusal_carries_the_details_that_google_rpc_has_for_it(
    server: ServerProcess, client: Client, finished: Finished
) -> None:
    done = finished(client, client.submit(["true"]))
    pause, get = pb.PauseJobRequest(job_id=done.id), pb.GetJobRequest(job_id="nonsense")
    assert details(server, lambda stub, m: stub.PauseJob(pause, metadata=m)) == {
        PreconditionFailure.DESCRIPTOR.full_name
    }
    assert details(server, lambda stub, m: stub.GetJob(get, metadata=m)) == {ResourceInfo.DESCRIPTOR.full_name}
    submit = pb.SubmitJobRequest()
    assert details(server, lambda stub, m: stub.SubmitJob(submit, metadata=m)) == {BadRequest.DESCRIPTOR.full_name}


def test_the_reasons_for_waiting_are_told_to_programs_too(server: ServerProcess, client: Client, full: Job) -> None:
    job = client.submit(["true"], ranks=2)
    address = (server.home / "server.json").read_text().split('"')[3]
    metadata = (("authorization", f"Bearer {(server.home / 'token').read_text().strip()}"),)
    with grpc.insecure_channel(address) as channel:
        answer = JobServiceStub(channel).ExplainJob(pb.ExplainJobRequest(job_id=job.id), metadata=metadata)
    assert [cause.WhichOneof("cause") for cause in answer.causes] == ["slots"]
    assert answer.causes[0].slots == pb.WaitForSlots(needed=2, free=0, total=4)
    assert not answer.HasField("latest_start_time")


def test_what_waits_and_what_is_paused_is_so_under_the_next_server(
    own_server: ServerProcess, job_script: Script
) -> None:
    with own_server.client() as client:
        blocking = client.submit([job_script("reporting"), "15", "0.1"], ranks=4)
        sweep = client.submit_sweep(["true"], {"n": [1, 2]}, max_parallel=1)
        after = client.submit(["true"], after=[sweep.jobs[1].id], priority=5)
        paused = client.submit(["true"])
        client.pause(paused.id)
        own_server.kill()
        own_server.start()
        assert client.get(paused.id).state is JobState.PAUSED
        *_, last = client.watch(after.id)
        assert isinstance(last, StateChanged)
        assert last.state is JobState.SUCCEEDED
        ends = [client.get(job.id).finished or 0 for job in (blocking, *sweep.jobs, after)]
        assert ends == sorted(ends)
        assert client.get(paused.id).state is JobState.PAUSED


def test_jobs_get_cores_of_their_own(server_with: Callable[..., ServerProcess], eventually: Eventually) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("needs two cores")
    program = "import os, time; print(sorted(os.sched_getaffinity(0)), flush=True); time.sleep(60)"
    with server_with(slots=len(cores)).client() as client:
        single = [client.submit(["python3", "-c", program]) for _ in range(2)]
        for job in single:
            eventually(lambda job=job: text_of(client, job))  # type: ignore[misc]
        told = [list(client.get(job.id).cores) for job in single]
        assert told == [cores[:1], cores[1:2]]
        assert [text_of(client, job) for job in single] == [f"{each}\n" for each in told]
        for job in single:
            client.cancel(job.id)
        double = client.submit(["python3", "-c", program], ranks=2)
        eventually(lambda: text_of(client, double, rank=0) and text_of(client, double, rank=1))
        assert client.get(double.id).cores == tuple(cores[:2])
        assert {text_of(client, double, rank=rank) for rank in (0, 1)} == {f"{cores[:2]}\n"}


def test_a_job_whose_journal_cannot_be_read_ends_as_it_did_and_says_so(
    own_server: ServerProcess, eventually: Eventually
) -> None:
    with own_server.client() as client:
        script = "rm -f $ALLGRAD_RUN_DIR/journal.jsonl; mkdir $ALLGRAD_RUN_DIR/journal.jsonl; sleep 0.3"
        *_, last = client.watch(client.submit(["sh", "-c", script]).id)
        assert isinstance(last, StateChanged)
        assert last.state is JobState.SUCCEEDED
        eventually(lambda: client.info().free_slots == 4)
