"""The asynchronous client: all of the other one, with the same values, errors and rules, and without holding up its loop."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from allgrad.server import (
    AllgradError,
    AsyncClient,
    Client,
    Event,
    Job,
    JobState,
    Metrics,
    StateChanged,
)
from allgrad.server.client.asynchronous.files import AsyncFiles
from allgrad.server.client.asynchronous.governance import AsyncGovernance
from allgrad.server.client.files import Files
from allgrad.server.client.governance import Governance
from allgrad.server.errors import (
    CursorAhead,
    InvalidRequest,
    JobNotFound,
    JobStateConflict,
    RequestIdTaken,
    ServerUnreachable,
    Unauthenticated,
)

from ..conftest import ServerProcess

Script = Callable[[str], str]
ROOT = Path(__file__).parents[3]
SAME = {"__aenter__": "__enter__", "__aexit__": "__exit__"}


@pytest.mark.parametrize(
    ("plain", "other"), [(Client, AsyncClient), (Governance, AsyncGovernance), (Files, AsyncFiles)]
)
def test_it_has_every_method_of_the_other_one_with_the_same_arguments(plain: type, other: type) -> None:
    def methods(kind: type) -> dict[str, list[inspect.Parameter]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {
            SAME.get(name, name): list(inspect.signature(method).parameters.values())
            for name, method in found
            if name == "__init__" or not name.startswith("_") or name in (*SAME, *SAME.values())
        }

    def shapes(kind: type) -> dict[str, list[tuple[str, object, object]]]:
        return {
            name: [(each.name, each.kind, each.default) for each in parameters]
            for name, parameters in methods(kind).items()
            if not (name == "__init__" and kind not in (Client, AsyncClient))
        }

    assert shapes(plain) == shapes(other)


async def states(client: AsyncClient, job: Job) -> list[JobState]:
    return [event.state async for event in client.watch(job.id) if isinstance(event, StateChanged)]


def test_it_says_what_the_other_one_says_of_the_same_job(server: ServerProcess, job_script: Script) -> None:
    async def use() -> None:
        async with server.async_client() as client:
            job = await client.submit([job_script("reporting"), "3"], name="both", labels={"kind": "async"})
            events = [event async for event in client.watch(job.id)]
            logs = [chunk async for chunk in client.logs(job.id)]
            with server.client() as plain:
                assert events == await asyncio.to_thread(lambda: list(plain.watch(job.id)))
                assert logs == await asyncio.to_thread(lambda: list(plain.logs(job.id)))
                assert await client.get(job.id) == plain.get(job.id)
                assert await client.explain(job.id) == plain.explain(job.id)
                assert await client.files.artifacts(job.id) == plain.files.artifacts(job.id)
                assert (await client.info()).started == plain.info().started
                assert [found async for found in client.list(labels="kind=async")] == [plain.get(job.id)]
                assert await client.page(name="both") == plain.page(name="both")
            await client.delete(job.id)
            with pytest.raises(JobNotFound):
                await client.get(job.id)

    asyncio.run(use())


def test_what_is_done_to_jobs_and_sweeps_is_done(server: ServerProcess, job_script: Script) -> None:
    async def use() -> None:
        async with server.async_client() as client:
            running = await client.submit([job_script("waiting")], ranks=4)
            while not (await client.get(running.id)).state.holds_slots:
                await asyncio.sleep(0.05)
            queued = await client.submit(["true"])
            assert (await client.pause(queued.id)).state is JobState.PAUSED
            assert (await client.change_priority(queued.id, 7)).priority == 7
            assert (await client.resume(queued.id)).state is JobState.QUEUED
            await asyncio.gather(client.cancel(running.id), client.cancel(queued.id))
            assert (await states(client, running))[-1] is JobState.CANCELLED
            sweep = await client.submit_sweep(["true"], {"lr": [0.1, 0.2]}, max_parallel=1)
            assert (await client.sweep(sweep.id)).spec == sweep.spec
            assert sweep.id in [found.id async for found in client.sweeps()]
            assert len((await client.cancel_sweep(sweep.id)).jobs) == 2
            token, secret = await client.access.create_token("mia", "view")
            assert token in await client.access.tokens()
            assert secret
            assert (await client.access.revoke_token(token.id)).revoked is not None
            quota = await client.access.set_quota("mia", queued=1)
            assert quota in await client.access.quotas()
            assert (await anext(client.access.audit())).action == "SetQuota"

    asyncio.run(use())


def test_folders_go_up_and_artifacts_come_down(server: ServerProcess, tmp_path: Path) -> None:
    script = "import os, pathlib\npathlib.Path(os.environ['ALLGRAD_OUTPUT_DIR'], 'out').write_text(open('in').read())"
    (tmp_path / "train.py").write_text(script)
    (tmp_path / "in").write_text("carried")

    async def use() -> None:
        async with server.async_client() as client:
            digest = await client.files.upload(tmp_path)
            assert digest == await client.files.upload(tmp_path)
            job = await client.submit(["train.py"], archive=digest)
            assert (await states(client, job))[-1] is JobState.SUCCEEDED
            there = await client.files.download(job.id, "out", tmp_path / "down" / "out")
            assert there.read_text() == "carried"

    asyncio.run(use())


@pytest.mark.parametrize(
    ("wrong", "ask"),
    [
        (JobNotFound, lambda client: client.get("nothing")),
        (InvalidRequest, lambda client: client.submit(["true"], ranks=1000)),
        (JobStateConflict, lambda client: client.pause(client.known)),
        (CursorAhead, lambda client: anext(client.watch(client.known, 10**6))),
        (RequestIdTaken, lambda client: client.submit(["false"], request_id="taken")),
    ],
)
def test_errors_are_those_of_the_other_one(
    server: ServerProcess, wrong: type[AllgradError], ask: Callable[[AsyncClient], Awaitable[object]]
) -> None:
    async def use() -> None:
        async with server.async_client() as client:
            job = await client.submit(["true"], request_id="taken")
            await states(client, job)
            client.known = job.id  # type: ignore[attr-defined]
            with pytest.raises(wrong) as told:
                await ask(client)
            assert type(told.value) is wrong
            assert told.value.what
            assert told.value.found

    asyncio.run(use())


def test_a_wrong_token_and_no_server_are_told_apart(server: ServerProcess, tmp_path: Path) -> None:
    async def use() -> None:
        async with AsyncClient(server.client()._destination.home.address(), token="wrong") as client:
            with pytest.raises(Unauthenticated):
                await client.info()
        async with AsyncClient(home=tmp_path / "nobody") as client:
            with pytest.raises(ServerUnreachable, match="start one with: allgrad serve"):
                await client.info()
            with pytest.raises(ServerUnreachable):
                await anext(client.watch("any"))
        async with AsyncClient("127.0.0.1:1", token="any") as client:
            with pytest.raises(ServerUnreachable, match=r"nothing answers at 127\.0\.0\.1:1"):
                await client.info()

    asyncio.run(use())


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_watching_logs_and_calls_live_through_the_end_of_the_server(
    own_server: ServerProcess, job_script: Script, end: str
) -> None:
    async def use() -> None:
        async with own_server.async_client() as client:
            job = await client.submit([job_script("reporting"), "40", "0.05"])
            events: list[Event] = []
            half_way = asyncio.Event()

            async def watch() -> None:
                async for event in client.watch(job.id):
                    events.append(event)
                    if len(events) > 6:
                        half_way.set()

            async def read() -> bytes:
                return b"".join([chunk.data async for chunk in client.logs(job.id, follow=True)])

            following, reading = asyncio.create_task(watch()), asyncio.create_task(read())
            await half_way.wait()
            await asyncio.to_thread(getattr(own_server, end))
            restarted = asyncio.create_task(asyncio.to_thread(own_server.start))
            assert not following.done()
            await restarted
            assert (await client.get(job.id)).id == job.id  # the port is another one now
            await asyncio.wait_for(following, 30)
            printed = await asyncio.wait_for(reading, 30)
            assert [event.step for event in events if isinstance(event, Metrics)] == list(range(1, 41))
            assert events == [event async for event in client.watch(job.id)]
            assert printed == b"".join([chunk.data async for chunk in client.logs(job.id)])

    asyncio.run(use())


def test_many_watchers_share_one_loop_and_one_connection(server: ServerProcess, job_script: Script) -> None:
    async def use() -> None:
        async with server.async_client() as client:
            job = await client.submit([job_script("reporting"), "20", "0.02"])
            ends = await asyncio.gather(*(states(client, job) for _ in range(50)))
            assert {tuple(each) for each in ends} == {tuple(ends[0])}

    asyncio.run(use())


def test_a_stream_that_is_left_is_ended_and_a_cancelled_task_ends(server: ServerProcess, job_script: Script) -> None:
    async def use() -> None:
        async with server.async_client() as client:
            job = await client.submit([job_script("waiting")])
            async with aclosing(client.watch(job.id)) as events:
                async for event in events:
                    assert event.cursor > 0
                    break
            waiting = asyncio.create_task(states(client, job))
            await asyncio.sleep(0.2)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await client.cancel(job.id)
            assert (await states(client, job))[-1] is JobState.CANCELLED

    asyncio.run(use())


def test_the_example_in_the_documentation_runs(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = re.findall(
        r"^```python\n(import asyncio\n.*?)^```$", (ROOT / "docs/clients.md").read_text(), re.MULTILINE | re.DOTALL
    )
    monkeypatch.setenv("ALLGRAD_HOME", str(server.home))
    (tmp_path / "train.py").write_text("import sys; print(sys.argv)")
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("succeeded") == 3
