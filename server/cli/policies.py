"""The options of ``allgrad submit`` that say when and how a job is to run, and what the client is told of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import InvalidRequest
from ..jobs.spec import After, CheckpointPolicy, Dependency, FailureKind, RetryRule
from .job_ids import JobId
from .lifetimes import Count, Pair, Span

if TYPE_CHECKING:
    from ..client.options import Options

_KINDS = [kind.value for kind in FailureKind]
_OPTIONS = (
    click.option(
        "--priority", type=click.IntRange(-100, 100), default=0, help="The highest starts first.  [default: 0]"
    ),
    click.option("--after", type=JobId(), multiple=True, metavar="JOB", help="Start after this one has succeeded."),
    click.option(
        "--after-any", type=JobId(), multiple=True, metavar="JOB", help="Start after this one has ended, however."
    ),
    click.option(
        "--retries",
        multiple=True,
        metavar="[KIND=]N",
        help=f"Forgive N failures; or of one kind: {', '.join(_KINDS)}.",
    ),
    click.option("--backoff", type=Span(), help="Pause before a first retry, doubled each time.  [default: 10s]"),
    click.option("--max-runtime", type=Span(), help="End an attempt that runs longer, as in 90s, 2h."),
    click.option("--threads", type=Count(1), metavar="N", help="Threads of each rank; takes slots for them."),
    click.option("--label", "labels", type=Pair(), multiple=True, metavar="KEY=VALUE", help="To find it by."),
    click.option("--preemptible", is_flag=True, help="May be interrupted for a job of higher priority."),
    click.option("--stop-grace", type=Span(), help="Between SIGTERM and SIGKILL.  [default: the server's]"),
    click.option("--stall-after", type=Span(), help="Alert after so long without a report; 0: never."),
    click.option("--checkpoint-every", type=Span(), help="Told to the script as ALLGRAD_CHECKPOINT_INTERVAL."),
)
_NAMES = (
    *("priority", "retries", "backoff", "max_runtime", "threads", "labels"),
    *("preemptible", "stop_grace", "checkpoint_every", "stall_after"),
)


def policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options, and hand them to it as ``policies``, keywords of Client.submit(), and ``needs``."""

    @wraps(command)
    def with_policies(*args: Any, **given: Any) -> Any:
        needs = [Dependency(job_id) for job_id in given.pop("after")]
        needs += [Dependency(job_id, After.END) for job_id in given.pop("after_any")]
        return command(*args, needs=needs, policies=_policies({name: given.pop(name) for name in _NAMES}), **given)

    for option in reversed(_OPTIONS):
        with_policies = option(with_policies)
    return with_policies


def refuse_without(needed: str, names: Sequence[str], found: str, fix: str) -> None:
    """Refuse options *names* on a command line that lacks *needed*; a configuration file may have them for when it is there."""
    context = click.get_current_context()
    if context.params.get(needed):
        return
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InvalidRequest(f"cannot use --{name.replace('_', '-')}", found, fix)


def _policies(given: dict[str, Any]) -> Options:
    refuse_without("retries", ["backoff"], "nothing is tried again", "say how often, as in: --retries 3")
    return {
        "priority": given["priority"],
        "retries": [_retry_rule(word, given["backoff"]) for word in given["retries"]],
        "max_runtime": given["max_runtime"],
        "threads": given["threads"] or 0,
        "labels": dict(given["labels"]),
        "stall_after": given["stall_after"],
        "checkpoint": CheckpointPolicy(given["preemptible"], given["stop_grace"], given["checkpoint_every"]),
    }


def _retry_rule(word: str, backoff: float | None) -> RetryRule:
    kind, equals, limit = word.rpartition("=")
    if not limit.isdecimal() or (equals and kind not in _KINDS):
        raise InvalidRequest(f"cannot use --retries {word}", "", f"write N or KIND=N; kinds are {', '.join(_KINDS)}")
    rule = RetryRule(Count().convert(limit, None, None), FailureKind(kind) if equals else None)
    return rule if backoff is None else RetryRule(rule.limit, rule.kind, backoff, max(rule.longest, backoff))
