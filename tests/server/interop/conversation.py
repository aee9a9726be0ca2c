"""One script of calls, to be held with a server by clients of any make: each must tell the same."""

from __future__ import annotations

import base64
import hashlib
import io
import sys
import time
from pathlib import Path
from typing import Any

from allgrad.server.client.packing import pack

from .answer import Answer, Fields, Speaker

PROGRAMS = Path(__file__).parents[1] / "programs"
STEPS = 25
_JOBS = "allgrad.v1.JobService"


def converse(speaker: Speaker, token: str, name: str) -> dict[str, Any]:
    """Hold the conversation as *name*; return what was told, without what differs from run to run."""
    conversation = _Conversation(speaker, token, name)
    return {
        "health": conversation.health(),
        "services": conversation.services(),
        "submit": conversation.submit(),
        "idempotent": conversation.submit_again(),
        "events": conversation.watch(),
        "logs": conversation.logs(),
        "list": conversation.pages(),
        "upload": conversation.upload(),
        "cancel": conversation.cancel(),
        "errors": conversation.errors(),
    }


class _Conversation:
    def __init__(self, speaker: Speaker, token: str, name: str) -> None:
        self._speaker = speaker
        self._token = token
        self._name = name
        self._job = ""

    def _call(self, method: str, *requests: Fields) -> list[Any]:
        answer = self._speaker.call(method, *requests, token=self._token)
        assert answer.code == "OK", answer
        return list(answer.messages)

    def _request(self) -> Fields:
        argv = [sys.executable, str(PROGRAMS / "reporting.py"), str(STEPS), "0.02"]
        spec = {"argv": argv, "ranks": 1, "workingDirectory": "/", "labels": {"by": self._name}, "maxRuntime": "60.5s"}
        return {"requestId": f"interop-{self._name}", "spec": spec}

    def health(self) -> list[Fields]:
        return self._call("grpc.health.v1.Health/Check", {"service": _JOBS})

    def services(self) -> list[str]:
        asked = {"listServices": "*"}
        (told,) = self._call("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", asked)
        return sorted(each["name"] for each in told["listServicesResponse"]["service"])

    def submit(self) -> Fields:
        (told,) = self._call(f"{_JOBS}/SubmitJob", self._request())
        job = told["job"]
        self._job = job["id"]
        return {"ranks": job["spec"]["ranks"], "labels": list(job["spec"]["labels"]), "user": job["user"]}

    def submit_again(self) -> bool:
        (told,) = self._call(f"{_JOBS}/SubmitJob", self._request())
        return bool(told["job"]["id"] == self._job)

    def watch(self) -> list[str]:
        """All events, live, to the last."""
        told = self._call(f"{_JOBS}/WatchJob", {"jobId": self._job})
        events = [event for message in told for event in message["events"] if "heartbeat" not in event]
        cursors = [int(event["cursor"]) for event in events]
        assert cursors == sorted(set(cursors))
        return [_event(event) for event in events]

    def logs(self) -> bytes:
        told = self._call(f"{_JOBS}/StreamLogs", {"jobId": self._job, "rank": 0})
        return b"".join(base64.b64decode(chunk["data"]) for chunk in told if "data" in chunk)

    def pages(self) -> list[int]:
        """One job a page, until there are no more."""
        self._call(f"{_JOBS}/SubmitJob", {**self._request(), "requestId": f"interop-{self._name}-2"})
        lengths, token = [], ""
        while True:
            asked = {"labelSelector": f"by={self._name}", "pageSize": 1, "pageToken": token}
            (told,) = self._call(f"{_JOBS}/ListJobs", asked)
            lengths.append(len(told["jobs"]))
            token = told.get("nextPageToken", "")
            if not token:
                return lengths

    def upload(self) -> bool:
        """A folder in three chunks."""
        packed = io.BytesIO()
        pack([(f"{self._name}.py", Path(__file__))], packed)
        data = packed.getvalue()
        digest, third = hashlib.sha256(data).hexdigest(), len(data) // 3
        requests: list[Fields] = [{"digest": digest, "size": len(data)}]
        for start, end in ((0, third), (third, 2 * third), (2 * third, len(data))):
            requests.append({"offset": start, "data": base64.b64encode(data[start:end]).decode()})
        (told,) = self._call("allgrad.v1.FileService/UploadArchive", *requests)
        return bool(told["digest"] == digest)

    def cancel(self) -> list[str]:
        spec = {"argv": ["sleep", "1000"], "ranks": 1, "workingDirectory": "/"}
        (made,) = self._call(f"{_JOBS}/SubmitJob", {"spec": spec})
        asked = {"jobId": made["job"]["id"]}
        self._wait_until_it_runs(asked)  # else it may have no exit code
        self._call(f"{_JOBS}/CancelJob", asked)
        told = self._call(f"{_JOBS}/WatchJob", asked)
        return [_event(event) for message in told for event in message["events"]][-1:]

    def _wait_until_it_runs(self, asked: Fields) -> None:
        deadline = time.monotonic() + 60
        while (state := self._call(f"{_JOBS}/GetJob", asked)[0]["job"]["state"]) != "JOB_STATE_RUNNING":
            assert time.monotonic() < deadline, state
            time.sleep(0.05)

    def errors(self) -> dict[str, Any]:
        spec = {"argv": ["true"], "ranks": 100_000, "workingDirectory": "/"}
        changed = {
            "requestId": f"interop-{self._name}",
            "spec": {"argv": ["false"], "ranks": 1, "workingDirectory": "/"},
        }
        return {
            "unknown": self._refused(f"{_JOBS}/GetJob", {"jobId": "nothing"}),
            "impossible": self._refused(f"{_JOBS}/SubmitJob", {"spec": spec}),
            "taken": self._refused(f"{_JOBS}/SubmitJob", changed)[:1],
            "over": self._refused(f"{_JOBS}/WatchJob", {"jobId": self._job, "cursor": 1 << 40})[:1],
            "stranger": self._refused(f"{_JOBS}/GetJob", {"jobId": self._job}, token=""),
        }

    def _refused(self, method: str, request: Fields, token: str | None = None) -> tuple[str, Any]:
        answer: Answer = self._speaker.call(method, request, token=self._token if token is None else token)
        assert not answer.messages
        return answer.code, answer.details


def _event(event: Fields) -> str:
    if "metrics" in event:
        return f"{event['metrics']['step']}: {event['metrics']['values']['loss']:.6f}"
    change = event["stateChange"]
    return f"{change['state']} {change.get('exitCode', '')}"
