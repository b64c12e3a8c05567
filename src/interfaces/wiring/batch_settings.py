"""The settings of AWS Batch, and of the road that jobs take."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from src.interfaces.wiring.group import Group


class BatchSettings(Group):
    """AWS Batch, where each job is a container of its own. Unused unless both are set; region and address are `WORKER_AWS__*`."""

    queue: str | None = Field(default=None, min_length=1, max_length=256, description="Job queue: its name or ARN.")
    definition: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Job definition: its name (then the newest active revision is used), `name:revision`, or its ARN.",
    )


class DispatchSettings(Group):
    """The road by which video jobs come to run. Jobs of other types go by the queue."""

    backend: Literal["queue", "batch"] = Field(
        default="queue",
        description="`queue`: a message for a worker. `batch`: a container of its own on AWS Batch, as `WORKER_BATCH__*` says. The"
        " API, its recovery jobs and the workers on one database must say the same.",
    )
