"""The ``allgrad`` command: its verbs, and how every way of ending becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from ..errors import AllgradError
from . import settings
from .access import audit, quota, token
from .artifacts import artifacts, download
from .backup import backup, restore
from .completion import completion
from .diff import diff
from .doctor import doctor
from .follow import logs, watch
from .jobs import cancel, delete, list_jobs, pause, priority, resume, show, why
from .resubmit import resubmit
from .run import run
from .serve import serve
from .submit import submit
from .sweeps import sweep, sweeps
from .top import top
from .wait import wait

BAD_USAGE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141  # what a shell reports of a program that SIGPIPE ended

INTERNAL_ERROR = 70
SHOW_TRACEBACK = "ALLGRAD_TRACEBACK"


class Verbs(click.Group):
    """Lists the verbs in the order in which people meet them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # before click sees it, which would exit with 1
            raise click.exceptions.Exit(BROKEN_PIPE) from None


def print_version(ctx: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"allgrad {version('allgrad')}")
        ctx.exit()


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 success, 1 a failure such as a full disk, 2 bad request, 3 server unreachable, "
    "4 not allowed, 5 not found, 6 job cancelled, 124 out of time, 130 Ctrl-C; run, watch, wait and --follow exit with "
    "the job's own code.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=print_version,
    help="Show the version.",
)
def allgrad() -> None:
    """Train on one process, on many ranks, or through a server that queues and watches.

    \b
      allgrad run -n 2 train.py                here and now, on two ranks
      allgrad serve                            start a server (in a terminal of its own)
      allgrad submit -n 2 --follow train.py    the same through the server, watching the loss

    JOB is the id of one, or its beginning where no other begins so.
    """


for verb in (
    *(run, serve, submit, resubmit, list_jobs, show, why, watch, logs, wait),
    *(cancel, pause, resume, priority, delete, artifacts, download, sweeps, sweep),
    *(top, diff, token, quota, audit, completion, backup, restore, doctor),
):
    allgrad.add_command(verb)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with *arguments* (default: this process's) and return its exit code."""
    _make_output_forgiving()
    try:
        code = _outcome(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        code = BROKEN_PIPE
    if code == BROKEN_PIPE:
        _give_up_output()
    return code


def _outcome(arguments: list[str]) -> int:
    try:
        code = allgrad.main(
            arguments,
            prog_name="allgrad",
            standalone_mode=False,
            color=_colour(),
            default_map=settings.defaults(allgrad),
        )
    except click.Abort:
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return BAD_USAGE
    except click.UsageError as error:
        return _complain(f"{error.format_message().removesuffix('.')}. {_where_to_read(error.ctx)}", BAD_USAGE)
    except click.ClickException as error:
        return _complain(error.format_message(), BAD_USAGE)
    except AllgradError as error:
        return _complain(str(error), error.exit_code)
    except UnicodeEncodeError as error:
        return _complain(f"cannot use {error.object!a}; its bytes are not UTF-8", BAD_USAGE)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _complain(f"{error.strerror or error}: {error.filename or 'this machine'}", 1)
    except ModuleNotFoundError:
        raise
    except Exception as error:
        if SHOW_TRACEBACK in os.environ:
            raise
        where = f"please report it; with {SHOW_TRACEBACK}=1 it shows where"
        return _complain(f"internal error; {type(error).__name__}: {error}; {where}", INTERNAL_ERROR)
    return code if isinstance(code, int) else 0


def _colour() -> bool | None:
    """No colour where it is not wanted (no-color.org) or not understood, else as the output is a terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def _where_to_read(ctx: click.Context | None) -> str:
    return f"See {ctx.command_path if ctx else 'allgrad'} --help."


def _complain(message: str, code: int) -> int:
    click.echo(f"allgrad: {message}", err=True)
    return code


def _make_output_forgiving() -> None:
    """Let no closed, ASCII or broken output end a command with an error of encoding."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller: >&-
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 -- lives as long as we do
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _give_up_output() -> None:
    """Nobody reads any more: keep the interpreter from complaining about that when it flushes at its end."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
