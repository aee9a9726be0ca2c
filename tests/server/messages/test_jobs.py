"""Between jobs and their messages."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration

from allgrad.proto import jobs_pb2 as pb
from allgrad.server.messages.jobs import packed, spec_message, spec_value


@pytest.mark.parametrize("sign", [1, -1])
def test_a_spec_with_times_beyond_all_bounds_can_be_told_again(sign: int) -> None:
    endless = Duration(seconds=sign * (2**63 - 1), nanos=sign * 999_999_999)
    policy = pb.CheckpointPolicy(grace=endless, interval=endless)
    rule = pb.RetryRule(limit=1, backoff=endless, longest_backoff=endless)
    told = pb.JobSpec(argv=["a"], max_runtime=endless, stall_after=endless, checkpoint=policy, retries=[rule])
    value = spec_value(told)
    assert spec_value(pb.JobSpec.FromString(packed(spec_message(value)))) == value
    assert value.max_runtime == sign * 315_576_000_000.0
