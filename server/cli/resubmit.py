"""``allgrad resubmit``: a job once more, as it was submitted."""

from __future__ import annotations

from functools import partial

import click

from .connection import Connection, connection_options, json_option
from .job_ids import JobId
from .submit import announce, follow_or_cancel


@click.command(short_help="Submit a job once more.")
@click.argument("job_id", type=JobId(), metavar="JOB")
@click.option("-f", "--follow", "following", is_flag=True, help="Show states and losses until it ends.")
@json_option
@connection_options
def resubmit(job_id: str, following: bool, as_json: bool, connection: Connection) -> int:
    """Submit once more what JOB was submitted with, and print the id of the new job.

    The same script, arguments, environment, folder (an uploaded one as it was uploaded), ranks and options; it is a job of
    its own, yours, and in no sweep. With --follow, as submit --follow.
    """
    with connection.open() as client:
        again = partial(client.resubmit, job_id)
        if following:
            return follow_or_cancel(client, again, as_json)
        announce(again(), as_json)
    return 0
