"""What may be asked: every limit on a request, checked before anything is done."""

from __future__ import annotations

import base64
import binascii
import json
import os
import shutil
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import NoReturn

from .. import launchers
from ..errors import InvalidRequest
from ..files.uploads import Uploads
from ..jobs.policies import check_policies
from ..jobs.slots import HERE, demand, slots_of
from ..jobs.spec import JobSpec, LauncherKind
from ..launchers import slurm
from ..launchers.batch import check_options
from ..launchers.kubernetes import mpijobs
from ..store import JobFilter

ARGV_BYTES = 1 << 17
ENV_BYTES = 1 << 17
NAME_LENGTH = 200
HOSTS = 1000
REQUEST_ID_LENGTH = 64
PAGE_LIMIT = 1000
DEFAULT_PAGE = 100
SWEEP_PAGE_LIMIT = 100
DEFAULT_SWEEP_PAGE = 20
_RESERVED = ("JOB_ID", "ATTEMPT", "RUN_DIR", "LOG_DIR", "OUTPUT_DIR", "RESUME", "CHECKPOINT_INTERVAL")
RESERVED_ENV = frozenset(f"ALLGRAD_{name}" for name in _RESERVED)
_FIRST_PAGE = 1 << 62


def check_spec(spec: JobSpec, room: Mapping[str, int], cores_per_slot: int) -> None:
    """Raise InvalidRequest if a server could never run *spec*, which has *room*: slots here and on hosts; say what to change."""
    _check_text(spec)
    _check_hosts(spec)
    _check_size(spec, room, cores_per_slot)
    check_policies(spec)


def check_files(
    spec: JobSpec, uploads: Uploads, cluster: Mapping[str, str] | None = None, *, visible: bool = True
) -> None:
    """Raise InvalidRequest if a file or launcher that *spec* needs is not there; this may wait for the disk.

    *uploads* has the archives that a job may name; *cluster* is what the server was told of Kubernetes. *visible*: whether
    the server's account sees the files that the job's does.
    """
    if spec.resume_from:
        uploads.check_file(spec.resume_from)
    if spec.archive:
        uploads.check(spec.archive, spec.argv[0], spec.workdir)
    else:
        _check_program(spec, visible=visible)
    if spec.batch:
        _check_batch(spec, cluster or {})
    else:
        check_options(spec.launcher, spec.launcher_options, ())
        launchers.on_hosts(spec.hosts, spec.ranks)


def files_of(spec: JobSpec) -> Hashable:
    """Return what check_files() looks at of *spec*; None if it must look every time."""
    elsewhere = spec.archive or spec.resume_from or spec.batch or spec.hosts or spec.launcher_options
    return None if elsewhere else (spec.workdir, spec.argv[0], spec.env.get("PATH"), spec.ranks > 1)


def check_request_id(request_id: str) -> None:
    """Raise InvalidRequest if *request_id* is too long."""
    if len(request_id) > REQUEST_ID_LENGTH:
        raise InvalidRequest(
            "the request id cannot be used",
            f"it has {len(request_id)} characters, and {REQUEST_ID_LENGTH} are allowed",
            "use a UUID",
            field="request_id",
        )


def page_token(wanted: JobFilter, below: int) -> str:
    """Return the opaque token of the page that begins under job number *below*."""
    return base64.urlsafe_b64encode(json.dumps([wanted.digest(), below]).encode()).decode()


def page_start(token: str, wanted: JobFilter) -> int:
    """Return the job number under which the page of *token* begins. Raises InvalidRequest."""
    if not token:
        return _FIRST_PAGE
    try:
        digest, below = json.loads(base64.urlsafe_b64decode(token))
        if digest == wanted.digest() and isinstance(below, int) and 0 < below < _FIRST_PAGE:
            return below
        found = "it belongs to a list with another filter"
    except (ValueError, TypeError, binascii.Error):
        found = "this server did not make it"
    raise InvalidRequest("the page token cannot be used", found, "begin again without one", field="page_token")


def page_length(size: int) -> int:
    """Return how many jobs a page has, when *size* are asked for; 0 leaves it to the server."""
    return _length(size, PAGE_LIMIT, DEFAULT_PAGE)


def sweep_page_length(size: int) -> int:
    """Return how many sweeps a page has, when *size* are asked for; 0 leaves it to the server."""
    return _length(size, SWEEP_PAGE_LIMIT, DEFAULT_SWEEP_PAGE)


def _length(size: int, limit: int, default: int) -> int:
    if not 0 <= size <= limit:
        raise InvalidRequest(f"a page cannot have {size} entries", f"1 to {limit} are possible", "", field="page_size")
    return size or default


def _check_text(spec: JobSpec) -> None:
    argv_bytes = sum(len(word.encode()) + 1 for word in spec.argv)
    env_bytes = sum(len(f"{name}={value}".encode()) + 1 for name, value in spec.env.items())
    sizes = (
        ("spec.argv", "arguments", argv_bytes, ARGV_BYTES),
        ("spec.env", "environment", env_bytes, ENV_BYTES),
        ("spec.name", "name", len(spec.name), NAME_LENGTH),
    )
    for field, noun, size, limit in sizes:
        if size > limit:
            raise InvalidRequest(f"the {noun} is too long", f"{size} of at most {limit} bytes", "", field=field)
    if not spec.argv or not spec.argv[0]:
        raise InvalidRequest(
            "there is nothing to run",
            "the command is empty",
            "name a script, as in: train.py",
            field="spec.argv",
        )
    for word in (*spec.argv, *spec.env, *spec.env.values(), spec.workdir, spec.name):
        if "\0" in word:
            raise InvalidRequest("the job cannot run", "a NUL character stands in it", "", field="spec")
    for name in spec.env:
        if not name or "=" in name or name in RESERVED_ENV:
            raise InvalidRequest(
                f"the environment variable {name!r} cannot be set",
                f"names are not empty, hold no '=', and are none of {', '.join(sorted(RESERVED_ENV))}",
                "use another name",
                field="spec.env",
            )


def _check_hosts(spec: JobSpec) -> None:
    if len(spec.hosts) > HOSTS or len({host.name for host in spec.hosts}) < len(spec.hosts):
        found = f"there are {len(spec.hosts)}, of at most {HOSTS}, each named once"
        raise InvalidRequest("the hosts cannot be used", found, "", field="spec.hosts")
    launchers.check_hosts(spec.hosts)


def _check_batch(spec: JobSpec, cluster: Mapping[str, str]) -> None:
    if spec.hosts:
        raise InvalidRequest(
            f"{spec.launcher} chooses the hosts by itself",
            "and --hosts names some",
            "leave one away",
            field="spec.hosts",
        )
    if spec.launcher is LauncherKind.SLURM:
        slurm.check(spec)
    else:
        mpijobs.check(spec, cluster)


def _check_size(spec: JobSpec, room: Mapping[str, int], cores_per_slot: int) -> None:
    if spec.ranks < 1:
        raise InvalidRequest(f"a job cannot have {spec.ranks} ranks", "", "ask for 1 or more", field="spec.ranks")
    if spec.threads < 0:
        raise InvalidRequest(
            f"a rank cannot have {spec.threads} threads", "", "ask for 1 or more", field="spec.threads_per_rank"
        )
    for host, needed in demand(spec, cores_per_slot, counts_hosts=len(room) > 1):
        if host not in room:
            raise InvalidRequest(
                f"ranks cannot run on {host}",
                f"the server counts the slots of {', '.join(sorted(filter(None, room)))}, and of no other host",
                "name those, or let whoever runs the server add it: allgrad serve --hosts",
                field="spec.hosts",
            )
        if needed > room[host]:
            _refuse_size(spec, host, needed, room[host], cores_per_slot)


def _refuse_size(spec: JobSpec, host: str, needed: int, slots: int, cores_per_slot: int) -> NoReturn:
    each = slots_of(1, spec.threads, cores_per_slot)
    ranks = needed // each
    where, owner, option = f"on {host}", "it", f"--hosts {host}:{needed}"
    if host == HERE:  # with more slots, each has fewer cores
        where, owner, option = "here", "the server", f"--slots {ranks * max(1, spec.threads)}"
    asked, takes = _counted(ranks, "rank"), "one"
    possible = [f"at most {_counted(slots // each, 'rank')}"] if slots >= each else []
    if each > 1:
        asked, takes = f"{asked} with {spec.threads} threads", f"{each} for its threads"
        if slots >= ranks:
            possible.append(f"at most {_counted(slots // ranks * cores_per_slot, 'thread')}")
    fixes = [f"ask for {' or '.join(possible)}"] if possible else []
    raise InvalidRequest(
        f"{asked} cannot run {where}",
        f"{owner} has {_counted(slots, 'slot')}, and each rank takes {takes}",
        ", or ".join([*fixes, f"start the server with: allgrad serve {option}"]),
        field="spec.ranks" if host == HERE else "spec.hosts",
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _check_program(spec: JobSpec, *, visible: bool) -> None:
    folder, program = Path(spec.workdir), spec.argv[0]
    if not folder.is_absolute() or (visible and not folder.is_dir()):
        raise InvalidRequest(
            f"the job cannot start in {spec.workdir or 'an unnamed folder'}",
            "there is no such folder on the server's machine",
            "name an absolute one",
            field="spec.working_directory",
        )
    if not visible:
        return  # the account itself will find out
    if program.endswith(".py"):
        found = (folder / program).is_file()
    elif "/" in program:
        found = os.access(folder / program, os.X_OK) and (folder / program).is_file()
    else:
        path = spec.env.get("PATH", os.environ.get("PATH", os.defpath))
        found = shutil.which(program, path=path) is not None
    if not found:
        raise InvalidRequest(
            f"cannot run {program}",
            f"there is no such script or program, seen from {folder}",
            "check its name, and the folder that you submit from",
            field="spec.argv",
        )
