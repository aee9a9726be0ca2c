"""Jobs as people name them on a command line: by an id, or the beginning of one that no other job has."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ..errors import AllgradError, InvalidRequest
from ..jobs.job import ID_LENGTH

if TYPE_CHECKING:
    from ..jobs.job import Job
    from .connection import Connection

OFFERED = 50
"""Jobs of which the shell is told."""
PATIENCE = 1.0
"""Seconds for which the shell waits for them."""
_TOLD = 4


class JobId(click.ParamType):  # type: ignore[type-arg]  # generic in new click only
    """A job's id or its beginning; connection_options() hands the whole one to the command."""

    name = "job"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return what was written."""
        return str(value) if value else self.fail("it is empty: name a job, as allgrad list shows it", param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the newest jobs whose ids begin so; none if no server answers at once."""
        from .connection import Connection

        connection = Connection(*(ctx.params.get(each.name) for each in fields(Connection)))
        found: list[Job] = []

        def ask() -> None:
            with suppress(AllgradError), connection.open() as client:
                found.extend(client.page(page_size=OFFERED, id_prefix=incomplete)[0])

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        return [CompletionItem(job.id, help=f"{job.state.value.lower()}, {job.name}") for job in tuple(found)]


def with_whole_ids(connection: Connection, given: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a command's options with the whole id in place of each beginning of one."""
    command = click.get_current_context().command
    names = {param.name for param in command.params if isinstance(param.type, JobId)} & given.keys()

    def whole(value: Any) -> Any:
        return (
            tuple(whole_id(connection, each) for each in value)
            if isinstance(value, tuple)
            else whole_id(connection, value)
        )

    return given | {name: whole(given[name]) for name in names if given[name]}


def whole_id(connection: Connection, word: str) -> str:
    """Return the id of the job that *word* begins; what begins none is for the server to refuse. Raises InvalidRequest."""
    if len(word) >= ID_LENGTH:
        return word
    with connection.open() as client:
        found, _ = client.page(page_size=_TOLD + 1, id_prefix=word)
    jobs = [job for job in found if job.id.startswith(word)]  # a server of before does not look at the prefix
    if len(jobs) > 1:
        more = ", ..." if len(jobs) > _TOLD else ""
        begin = f"{', '.join(job.id for job in jobs[:_TOLD])}{more} begin so"
        raise InvalidRequest(f"job {word!r} could be any of several", begin, "write more of its id")
    return jobs[0].id if jobs else word
