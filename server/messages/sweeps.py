"""Between sweeps as values and the messages of allgrad.v1, in both directions."""

from __future__ import annotations

from allgrad.proto import sweeps_pb2 as pb

from ..jobs.job import Sweep
from ..jobs.spec import EarlyStopping, SweepSpec
from .jobs import job_message, job_value, seconds, spec_message, spec_value, timestamp


def sweep_spec_message(spec: SweepSpec) -> pb.SweepSpec:
    """Return *spec* as a message."""
    rule = spec.early_stopping
    stopping = None
    if rule is not None:
        stopping = pb.EarlyStopping(
            metric=rule.metric, maximize=rule.maximize, first_step=rule.first_step, reduction=rule.reduction
        )
    return pb.SweepSpec(
        job=spec_message(spec.job),
        grid=[pb.GridAxis(name=name, values=values) for name, values in spec.grid.items()],
        max_parallel=spec.max_parallel,
        early_stopping=stopping,
    )


def sweep_spec_value(message: pb.SweepSpec) -> SweepSpec:
    """Return the spec that *message* tells."""
    rule = message.early_stopping
    return SweepSpec(
        job=spec_value(message.job),
        grid={axis.name: tuple(axis.values) for axis in message.grid},
        max_parallel=message.max_parallel,
        early_stopping=EarlyStopping(rule.metric, rule.maximize, rule.first_step or 1, rule.reduction or 2.0)
        if rule.metric
        else None,
    )


def sweep_message(sweep: Sweep) -> pb.Sweep:
    """Return *sweep* as a message."""
    return pb.Sweep(
        id=sweep.id,
        spec=sweep_spec_message(sweep.spec),
        create_time=timestamp(sweep.created),
        jobs=map(job_message, sweep.jobs),
    )


def sweep_value(message: pb.Sweep) -> Sweep:
    """Return the sweep that *message* tells."""
    return Sweep(
        id=message.id,
        spec=sweep_spec_value(message.spec),
        created=seconds(message.create_time),
        jobs=tuple(map(job_value, message.jobs)),
    )
