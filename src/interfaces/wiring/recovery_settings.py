"""The settings of the recovery jobs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from src.application.video.recovery.schedule import INTERVALS
from src.interfaces.wiring.group import Group, Positive

Interval = Annotated[float, Field(ge=0)]


def _every(name: str) -> float:
    field: float = Field(
        default=INTERVALS[name], description=f"How often `mediaworker run recovery` runs {name}; 0: never."
    )
    return field


class RecoverySettings(Group):
    """What is stuck, lost or left over, and how long it may be (docs/recovery.md)."""

    scan_stuck_seconds: Interval = _every("scan-stuck")
    reconcile_seconds: Interval = _every("reconcile")
    enqueue_uploaded_seconds: Interval = _every("enqueue-uploaded")
    stuck_pending_seconds: Interval = _every("stuck-pending")
    stuck_videos_seconds: Interval = _every("stuck-videos")
    recover_dead_seconds: Interval = _every("recover-dead")
    purge_raw_seconds: Interval = _every("purge-raw")
    sweep_orphans_seconds: Interval = _every("sweep-orphans")
    abort_uploads_seconds: Interval = _every("abort-uploads")
    purge_events_seconds: Interval = _every("purge-events")
    purge_jobs_seconds: Interval = _every("purge-jobs")
    limit: int = Field(
        default=500,
        ge=1,
        le=100_000,
        description="Most things that one run does something to; of scan-stuck, that it looks at.",
    )
    silent_seconds: Positive = Field(
        default=1200.0,
        description="A container that AWS Batch calls alive may be without a heartbeat for so long; then it is terminated.",
    )
    runnable_alarm_seconds: Positive = Field(
        default=3600.0, description="A batch job may wait for a host for so long before an administrator is told."
    )
    keep_source_seconds: Positive = Field(
        default=259_200.0, description="Sources of READY videos are kept for so long (3 days)."
    )
    keep_failed_source_seconds: Positive = Field(
        default=2_592_000.0, description="Sources of FAILED videos are kept for so long (30 days)."
    )
    orphan_seconds: Positive = Field(
        default=259_200.0, description="Output that no video shows goes when its newest object is so old (72 h)."
    )
    upload_seconds: Positive = Field(
        default=86_400.0, description="An upload in parts that was begun so long ago is aborted (24 h)."
    )
    keep_event_seconds: Positive = Field(
        default=7_776_000.0, description="Operators' events are kept for so long (90 days)."
    )
    keep_job_seconds: Interval = Field(
        default=7_776_000.0,
        description="SQL databases: rows of ended jobs are kept for so long after their end (90 days; 0: for ever), and until then a message "
        "that comes again starts nothing. At least 1209600 (14 days), as long as SQS keeps a message.",
    )
    most_objects: int = Field(default=10_000, ge=1, description="Objects that one run of sweep-orphans may remove.")
    delete: bool = Field(
        default=False,
        description="`mediaworker run recovery`: purge-raw, sweep-orphans and abort-uploads remove what they find; without it they only say it.",
    )
