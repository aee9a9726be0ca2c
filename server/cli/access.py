"""``allgrad token``, ``quota`` and ``audit``: who may do what, and what they did."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

import click

from ..access.rules import Quota, Scope
from .connection import Connection, connection_options, json_option
from .lifetimes import Count


@click.group(short_help="Make, list and revoke tokens.")
def token() -> None:
    """Tokens for people and programs. The one in the server's folder allows everything."""


@token.command("create")
@click.argument("user")
@click.option("--scope", type=click.Choice([str(scope) for scope in Scope]), default="submit", show_default=True)
@json_option
@connection_options
def create(user: str, scope: str, as_json: bool, connection: Connection) -> None:
    """Make a token for USER and print its secret, which cannot be shown again.

    view: see jobs, logs and artifacts. submit: besides, submit jobs and change one's own. admin: everything.
    """
    with connection.open() as client:
        made, secret = client.access.create_token(user, scope)
    if as_json:
        from ..display.records import plain_record

        click.echo(plain_record(made, secret=secret))
        return
    click.echo(secret)
    if sys.stderr.isatty():
        click.echo(f"token {made.id}: give it to {user} as ALLGRAD_TOKEN; it is not shown again", err=True)


@token.command("list")
@json_option
@connection_options
def list_tokens(as_json: bool, connection: Connection) -> None:
    """List the tokens, without their secrets."""
    from ..display.records import plain_record
    from ..display.tables import token_table

    with connection.open() as client:
        found = client.access.tokens()
    for line in map(plain_record, found) if as_json else token_table(found):
        click.echo(line)


@token.command("revoke")
@click.argument("token_id", metavar="TOKEN")
@json_option
@connection_options
def revoke(token_id: str, as_json: bool, connection: Connection) -> None:
    """End TOKEN (its id, as listed) at once."""
    from ..display.records import plain_record

    with connection.open() as client:
        revoked = client.access.revoke_token(token_id)
    if as_json:
        click.echo(plain_record(revoked))


@click.command(short_help="Show or set what a user may have at once.")
@click.argument("user", required=False)
@click.option("--queued", type=Count(), metavar="N", help="Jobs in the queue; 0: no limit.")
@click.option("--running", type=Count(), metavar="N", help="Jobs that run; 0: no limit.")
@click.option("--slots", type=Count(), metavar="N", help="Slots of those; 0: no limit.")
@json_option
@connection_options
def quota(user: str | None, as_json: bool, connection: Connection, **limits: Any) -> None:
    """Limit what USER may have at once, over all tokens of USER.

    Limits that are not named stay as they are. With none named, shows them; without USER, those of all users.
    """
    from ..display.records import plain_record
    from ..display.tables import quota_table

    changes = {name: limit for name, limit in limits.items() if limit is not None}
    if changes and user is None:
        raise click.UsageError("a limit is for a user, and none is named: write allgrad quota USER ...")
    with connection.open() as client:
        found = client.access.quotas()
        if user is not None:
            present = next((each for each in found if each.user == user), Quota(user))
            found = [client.access.set_quota(**asdict(replace(present, **changes))) if changes else present]
    if not as_json and not found:
        click.echo("no quotas: each user may have all that there is", err=True)
        return
    for line in map(plain_record, found) if as_json else quota_table(found):
        click.echo(line)


@click.command(short_help="Show who changed what.")
@click.option("--limit", type=Count(1), default=50, show_default=True, help="At most this many.")
@json_option
@connection_options
def audit(limit: int, as_json: bool, connection: Connection) -> None:
    """List the changes that were made through the server, newest first."""
    from ..display.records import plain_record
    from ..display.tables import audit_table

    with connection.open() as client:
        found = list(islice(client.access.audit(), limit))
    for line in map(plain_record, found) if as_json else audit_table(found):
        click.echo(line)
