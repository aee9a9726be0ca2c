"""``allgrad artifacts`` and ``download``: what a job keeps in its output folder."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import InvalidRequest
from .connection import Connection, connection_options, json_option
from .job_ids import JobId
from .words import FilePath


@click.command(short_help="List the files that a job keeps.")
@click.argument("job_id", type=JobId(), metavar="JOB")
@json_option
@connection_options
def artifacts(job_id: str, as_json: bool, connection: Connection) -> None:
    """List the files that JOB keeps in its output folder, such as checkpoints."""
    from ..display.records import plain_record
    from ..display.tables import artifact_table

    with connection.open() as client:
        found, more = client.files.artifacts(job_id)
    if not as_json and not found:
        click.echo(f"job {job_id} keeps no files", err=True)
        return
    for line in map(plain_record, found) if as_json else artifact_table(found):
        click.echo(line)
    if more and sys.stderr.isatty():
        click.echo("there are more files than these", err=True)


@click.command(short_help="Fetch files that a job keeps.")
@click.argument("job_id", type=JobId(), metavar="JOB")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option(
    "--to", type=FilePath(path_type=Path, file_okay=False), help="Into this folder.  [default: one named as the job]"
)
@json_option
@connection_options
def download(job_id: str, paths: tuple[str, ...], to: Path | None, as_json: bool, connection: Connection) -> None:
    """Fetch the files PATH (as artifacts lists them; none named: all) of JOB. Goes on where it was broken off."""
    from ..display.records import json_line

    folder = to or Path(job_id)
    with connection.open() as client:
        listed, more = ((), False) if paths else client.files.artifacts(job_id)
        if more:
            raise InvalidRequest(
                f"cannot fetch all that job {job_id} keeps", "it is more than is listed", "name the files: PATH..."
            )
        wanted = paths or tuple(each.path for each in listed)
        for path in wanted:
            target = folder / path
            if not target.resolve().is_relative_to(folder.resolve()):
                raise InvalidRequest(f"cannot put {path} into {folder}", "it leads out of it", "name it as listed")
            there = client.files.download(job_id, path, target)
            click.echo(
                json_line({"path": path, "file": str(there), "size": there.stat().st_size}) if as_json else there
            )
