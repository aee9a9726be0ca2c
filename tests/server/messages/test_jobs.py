"""Between jobs and their messages."""

from __future__ import annotations

import dataclasses

import pytest
from google.protobuf.duration_pb2 import Duration

from allgrad.proto import jobs_pb2 as pb
from allgrad.server.jobs.hosts import Host
from allgrad.server.jobs.job import Job, JobState
from allgrad.server.jobs.spec import (
    After,
    CheckpointPolicy,
    Dependency,
    FailureKind,
    JobSpec,
    LauncherKind,
    RetryRule,
)
from allgrad.server.messages.jobs import JOB_FIELDS, SPEC_FIELDS, job_value, packed, spec_message, spec_value


@pytest.mark.parametrize("sign", [1, -1])
def test_a_spec_with_times_beyond_all_bounds_can_be_told_again(sign: int) -> None:
    endless = Duration(seconds=sign * (2**63 - 1), nanos=sign * 999_999_999)
    policy = pb.CheckpointPolicy(grace=endless, interval=endless)
    rule = pb.RetryRule(limit=1, backoff=endless, longest_backoff=endless)
    told = pb.JobSpec(argv=["a"], max_runtime=endless, stall_after=endless, checkpoint=policy, retries=[rule])
    value = spec_value(told)
    assert spec_value(pb.JobSpec.FromString(packed(spec_message(value)))) == value
    assert value.max_runtime == sign * 315_576_000_000.0


def test_a_message_that_says_nothing_is_a_value_that_says_nothing() -> None:
    assert spec_value(pb.JobSpec()) == JobSpec((), ranks=0)
    assert job_value(pb.Job()) == Job("", JobSpec((), ranks=0), JobState.UNKNOWN, owner="")


def test_every_field_of_a_job_has_its_place_in_the_value() -> None:
    for kind, fields, value in ((pb.JobSpec, SPEC_FIELDS, JobSpec), (pb.Job, JOB_FIELDS, Job)):
        assert set(fields) == set(kind.DESCRIPTOR.fields_by_name)
        known = {field.name for field in dataclasses.fields(value)}
        assert {name for name, _ in fields.values()} == known - {"stopping"}, "that one is the server's own"


def test_nothing_that_a_message_says_is_passed_over() -> None:
    said = JobSpec(
        argv=("train.py", "--fast"),
        ranks=2,
        name="n",
        env={"A": "b"},
        workdir="/w",
        as_torch=True,
        priority=3,
        after=(Dependency("x"), Dependency("y", After.END)),
        retries=(RetryRule(2, FailureKind.SIGNAL, 1.5, 30.0),),
        max_runtime=60.0,
        threads=4,
        labels={"k": "v"},
        checkpoint=CheckpointPolicy(True, 2.0, 3.0),
        stall_after=0.0,
        resume_from="r",
        archive="a",
        hosts=(Host("h", 2),),
        launcher=LauncherKind.SLURM,
        launcher_options={"mem": "1G"},
    )
    assert spec_value(spec_message(said)) == said
