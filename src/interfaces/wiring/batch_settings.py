"""The settings of AWS Batch."""

from __future__ import annotations

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
