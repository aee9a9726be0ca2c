"""What may come in: jobs that can never run are refused before anything is written down."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import partial
from itertools import islice

from ..access.rules import Quota, caller
from ..errors import InvalidRequest, QuotaExceeded
from ..files.uploads import Uploads
from ..jobs.accounts import Account
from ..jobs.job import ID_LENGTH, Job, JobState
from ..jobs.slots import size
from ..jobs.spec import After, Dependency, JobSpec
from ..service.requests import check_files, check_request_id, check_spec, files_of
from .attempts import Settings
from .tracked import Tracked

_FRESH = 1.0
"""Seconds for which a program that was found counts as there: for a burst of jobs it is looked for once."""
_REMEMBERED = 1000
_LETTERS = b"0123456789abcdefghjkmnpqrstvwxyz" * 8
_FETCHED = 256


class Admission:
    """Checks jobs before they are accepted.

    *tracked*: the unfinished jobs. *state_of* returns the state of any other, or None; *knows*, whether a request id was
    accepted; *read* calls a function that may wait for the disk.
    """

    def __init__(
        self,
        settings: Settings,
        uploads: Uploads,
        tracked: Mapping[str, Tracked],
        quotas: Mapping[str, Quota],
        state_of: Callable[[str], Awaitable[JobState | None]],
        knows: Callable[[str], Awaitable[bool]],
        read: Callable[..., Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._uploads = uploads
        self._tracked = tracked
        self._quotas = quotas
        self._state_of = state_of
        self._knows = knows
        self._read = read
        self._found: dict[Hashable, float] = {}

    def __repr__(self) -> str:
        return f"Admission({self._settings.slots} slots)"

    async def check(self, specs: Sequence[JobSpec], request_id: str) -> None:
        """Raise InvalidRequest if one of *specs* can never run, unless *request_id* was accepted before."""
        check_request_id(request_id)
        try:
            for spec in specs:
                check_spec(spec, self._settings.room, self._settings.threads)
                await self._check_files(spec, visible=self._account_of(spec) is None)
                for need in spec.after:
                    await self._check_possible(need)
        except InvalidRequest:
            if not (request_id and await self._knows(request_id)):
                raise

    def _account_of(self, spec: JobSpec) -> Account | None:
        """Return what account a job of the caller runs under, if not the server's own. Raises InvalidRequest."""
        accounts, user = self._settings.accounts, caller().user
        account = accounts.account(user) if accounts else None
        if account and (spec.hosts or spec.batch):
            raise InvalidRequest(
                f"jobs of {user} can run on the server's machine only",
                f"they run under the account {account.name}, and the job names {'hosts' if spec.hosts else spec.launcher}",
                "submit it to a server of your own account, or ask an administrator",
                field="spec.hosts" if spec.hosts else "spec.launcher",
            )
        return account

    async def _check_files(self, spec: JobSpec, *, visible: bool) -> None:
        files, now = files_of(spec), time.monotonic()
        if files is not None and self._found.get(files, 0.0) > now:
            return
        await self._read(partial(check_files, visible=visible), spec, self._uploads, self._settings.kubernetes)
        if files is not None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[files] = now + _FRESH

    async def _check_possible(self, need: Dependency) -> None:
        """Raise InvalidRequest if what a job depends on is not there, or has ended otherwise than it needs."""
        if need.job_id in self._tracked:
            return
        state = await self._state_of(need.job_id)
        hopeless = need.condition is After.SUCCESS and state in (JobState.FAILED, JobState.CANCELLED)
        if state is None or hopeless:
            found = "there is no such job" if state is None else f"that job is {state}"
            raise InvalidRequest(
                f"the job cannot run after job {need.job_id}", found, "see: allgrad list", field="spec.after"
            )

    def most_queued(self, jobs: Sequence[Job]) -> int:
        """Return how many jobs the owner of *jobs* may have in the queue; 0: no limit.

        Raises QuotaExceeded if one of them takes more slots than the owner may ever have.
        """
        quota = self._quotas.get(jobs[0].owner)
        if quota is None:
            return 0
        most = max(size(self._settings.demand(job.spec)) for job in jobs)
        if 0 < quota.slots < most:
            raise QuotaExceeded(
                f"the job takes {most} slots",
                f"user {quota.user} may have {quota.slots} at once",
                "ask for fewer ranks or threads, or an administrator for more",
            )
        return quota.queued


class Identities:
    """Ids for jobs and sweeps, which nobody can guess."""

    def __init__(self) -> None:
        self._unused = iter(b"")

    def new(self) -> str:
        """Return one that was never used.

        Randomness is fetched for many at a time: each fetch lets another thread run, and then waits for it.
        """
        random = bytes(islice(self._unused, ID_LENGTH))
        if len(random) < ID_LENGTH:
            self._unused = iter(secrets.token_bytes(ID_LENGTH * _FETCHED))
            return self.new()
        return random.translate(_LETTERS).decode()
