"""Who may call what: tokens and their scopes, quotas, and the audit log of every change."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from allgrad.proto import access_pb2, files_pb2, jobs_pb2, reporting_pb2, sweeps_pb2
from allgrad.server import Client, JobState
from allgrad.server.access.rules import RULES, Scope
from allgrad.server.access.tokens import Tokens
from allgrad.server.errors import Forbidden, InvalidRequest, QuotaExceeded, Unauthenticated
from allgrad.server.home import Home
from allgrad.server.store import Store

from ..conftest import ServerProcess

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
TRUE = [sys.executable, "-c", ""]


def methods() -> list[str]:
    """Every method of every service that the server itself says it has."""
    files = (jobs_pb2, sweeps_pb2, access_pb2, files_pb2, reporting_pb2, health_pb2, reflection_pb2)
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    return [f"/{service.full_name}/{method.name}" for service in services for method in service.methods]


@pytest.fixture
def user(client: Client, server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Client]]:
    """Makes clients of other users, by scope."""
    made: list[Client] = []

    def make(scope: str, name: str = "") -> Client:
        _, secret = client.access.create_token(name or request.node.name[:40], scope)
        made.append(Client(home=server.home, token=secret))
        return made[-1]

    yield make
    for each in made:
        each.close()


def status(server: ServerProcess, method: str, token: str | None) -> grpc.StatusCode:
    """Call *method* with a message of no meaning, and return what the server says."""
    address = server.client()._destination.home.address()
    assert address is not None
    metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
    with grpc.insecure_channel(address) as channel:
        ask: Any = channel.stream_stream(method)
        call = ask(iter([b""]), metadata=metadata, timeout=60)
        try:
            next(iter(call))
        except (grpc.RpcError, StopIteration):
            return grpc.StatusCode(call.code())
        call.cancel()
        return grpc.StatusCode.OK


@pytest.mark.parametrize("token", [None, "", "wrong", "allgrad_" + "A" * 43])
def test_no_call_is_answered_without_a_token(server: ServerProcess, token: str | None) -> None:
    for method in methods():
        assert status(server, method, token) is grpc.StatusCode.UNAUTHENTICATED, method


def test_every_call_has_a_rule_and_every_rule_a_call() -> None:
    assert set(methods()) == set(RULES)


def test_the_server_offers_no_service_that_the_rules_do_not_know(server: ServerProcess) -> None:
    home = server.client()._destination.home
    with grpc.insecure_channel(home.address() or "") as channel:
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        metadata = (("authorization", f"Bearer {home.token()}"),)
        stub: Any = ServerReflectionStub(channel)
        answer = next(iter(stub.ServerReflectionInfo(asked, metadata=metadata, timeout=60)))
    offered = {service.name for service in answer.list_services_response.service}
    assert offered == {method.split("/")[1] for method in RULES}


def test_each_scope_may_call_what_its_rules_say_and_nothing_else(server: ServerProcess, client: Client) -> None:
    for scope in (Scope.VIEW, Scope.SUBMIT):
        _, secret = client.access.create_token("prober", scope)
        for method, rule in RULES.items():
            refused = status(server, method, secret) is grpc.StatusCode.PERMISSION_DENIED
            assert refused != scope.includes(rule.scope), (scope, method)


def test_a_user_changes_only_jobs_of_ones_own(client: Client, user: Callable[..., Client]) -> None:
    mine = user("submit", "mia").submit(SLEEP)
    other = user("submit", "ben")
    assert mine.owner == "mia"
    assert other.get(mine.id).owner == "mia"
    for change in (other.cancel, other.pause, other.delete, lambda job: other.change_priority(job, 3)):
        with pytest.raises(Forbidden, match=r"is not yours to change; it is mia's, you are ben"):
            change(mine.id)
    assert user("submit", "mia").cancel(mine.id).state in (JobState.STOPPING, JobState.CANCELLED)


def test_what_two_users_ask_under_one_request_id_are_two_things(user: Callable[..., Client]) -> None:
    user("submit", "mia").submit(TRUE, request_id="same")
    with pytest.raises(InvalidRequest, match="request id 'same' cannot be used"):
        user("submit", "ben").submit(TRUE, request_id="same")


def test_a_revoked_token_ends_at_once_and_with_it_its_streams(
    server: ServerProcess, client: Client, eventually: Callable[[Callable[[], object]], None]
) -> None:
    token, secret = client.access.create_token("leaver", "submit")
    leaver = Client(home=server.home, token=secret)
    job = client.submit(["printer.py"], workdir=printer(server.home), name="printer")
    ended: list[Exception] = []

    def follow() -> None:
        try:
            list(leaver.logs(job.id, follow=True))
        except Unauthenticated as error:
            ended.append(error)

    follower = threading.Thread(target=follow)
    follower.start()
    eventually(lambda: client.get(job.id).state is JobState.RUNNING)
    assert client.access.revoke_token(token.id).revoked is not None
    follower.join(60)
    assert ended
    with pytest.raises(Unauthenticated, match="revoked"):
        leaver.info()
    client.cancel(job.id)
    leaver.close()


def printer(folder: Path) -> Path:
    """A folder with a script that prints without end."""
    (folder / "printer.py").write_text("import time\nwhile True: print('on', flush=True); time.sleep(0.05)\n")
    return folder


def test_tokens_live_on_through_a_restart_and_lie_on_disk_as_hashes_only(own_server: ServerProcess) -> None:
    with own_server.client() as admin:
        token, secret = admin.access.create_token("mia", "view")
        gone, revoked = admin.access.create_token("ben", "view")
        admin.access.revoke_token(gone.id)
    own_server.kill()
    for file in own_server.home.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes()
    own_server.start()
    with Client(home=own_server.home, token=secret) as mia:
        assert mia.info().slots == 4
    with Client(home=own_server.home, token=revoked) as ben, pytest.raises(Unauthenticated):
        ben.info()
    assert token.revoked is None


def test_tokens_that_were_revoked_leave_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allgrad.server.access.tokens.TOKEN_LIMIT", 1)
    home = Home(tmp_path)
    home.prepare()
    store = Store(home)
    tokens = Tokens(store, "root")

    async def make_two() -> None:
        for _ in range(2):
            token, _ = await tokens.create("mia", Scope.VIEW)
            with pytest.raises(InvalidRequest, match="revoke some"):
                await tokens.create("ben", Scope.VIEW)
            await tokens.revoke(token.id)

    asyncio.run(make_two())
    store.close()


def test_a_quota_holds_jobs_back_without_holding_up_others(
    own_server: ServerProcess, eventually: Callable[[Callable[[], object]], None]
) -> None:
    with own_server.client() as admin:
        _, secret = admin.access.create_token("mia", "submit")
        admin.access.set_quota("mia", queued=2, running=1, slots=2)
        with Client(home=own_server.home, token=secret) as mia:
            first = mia.submit(SLEEP)
            eventually(lambda: mia.get(first.id).state is JobState.RUNNING)
            second, third = mia.submit(SLEEP), mia.submit(SLEEP)
            with pytest.raises(QuotaExceeded, match="user mia may have 2 jobs in the queue; 2 wait, and 1 would come"):
                mia.submit(SLEEP)
            with pytest.raises(QuotaExceeded, match="the job takes 3 slots; user mia may have 2 at once"):
                mia.submit(SLEEP, ranks=3)
            why = mia.explain(second.id).causes
            assert why == ("user mia may have 1 running job and 2 slots at once, and has them",)
            others = admin.submit(SLEEP)
            eventually(lambda: admin.get(others.id).state is JobState.RUNNING)
            admin.access.set_quota("mia")
            eventually(lambda: mia.get(third.id).state is JobState.RUNNING)


def test_every_change_is_in_the_audit_log_and_nothing_else_is(own_server: ServerProcess) -> None:
    with own_server.client() as admin:
        token, secret = admin.access.create_token("mia", "submit")
        with Client(home=own_server.home, token=secret) as mia:
            job = mia.submit(SLEEP, request_id="once")
            mia.submit(SLEEP, request_id="once")
            mia.get(job.id)
            mia.change_priority(job.id, 5)
            mia.cancel(job.id)
            list(mia.watch(job.id))
            mia.cancel(job.id)
            mia.delete(job.id)
            with pytest.raises(Forbidden):
                mia.access.tokens()
        admin.access.set_quota("mia", slots=1)
        admin.access.revoke_token(token.id)
        found = [(record.user, record.action, record.target) for record in admin.access.audit()]
        who = {(record.token, record.peer.partition(":")[0]) for record in admin.access.audit()}
    assert found == [
        ("admin", "RevokeToken", token.id),
        ("admin", "SetQuota", "mia"),
        ("mia", "DeleteJob", job.id),
        ("mia", "CancelJob", job.id),
        ("mia", "ChangeJobPriority", job.id),
        ("mia", "SubmitJob", job.id),
        ("admin", "CreateToken", token.id),
    ]
    assert who == {(token.id, "ipv4"), ("home", "ipv4")}
    database = apsw.Connection(str(own_server.home / "state.db"))
    for change in ("DELETE FROM audit", "UPDATE audit SET user = 'nobody'"):
        with pytest.raises(apsw.ConstraintError, match="append-only"):
            database.execute(change)
    database.close()


@pytest.mark.parametrize("user_name", ["", "a b", "x" * 65, "-flag", "é", "a/b"])
def test_odd_users_are_refused(client: Client, user_name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be a user"):
        client.access.create_token(user_name)
