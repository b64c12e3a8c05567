"""Registers the content jobs."""

from __future__ import annotations

from collections.abc import Sequence

from src.application.catalog import JobType
from src.application.content.cleanup import parse_cleanup
from src.application.content.request import parse_content_file
from src.application.content.statistics import parse_daily_statistics
from src.application.events.announce import Announcement
from src.domain.job import Job

# The policy of an error's class decides how often it is tried (domain/retry.py); the network's has five retries.
MOST_ATTEMPTS = 6

HIGH, LOW = -1, 1
"""The seed's queues (section 2): thumbnail and metadata before all others, cleanup after them."""


def thumbnail_ready(job: Job) -> Sequence[Announcement]:
    """`{content_id, path}` (seed 000, section 6)."""
    result = job.result or {}
    return [Announcement("worker.thumbnail_ready", {"content_id": result["content_id"], "path": result["path"]})]


def metadata_ready(job: Job) -> Sequence[Announcement]:
    """`{content_id, metadata}` (seed 000, section 6)."""
    result = job.result or {}
    return [Announcement("worker.metadata_ready", {"content_id": result["content_id"], "metadata": result["metadata"]})]


JOB_TYPES = [
    JobType(
        name="thumbnail",
        parse=parse_content_file,
        handler="src.application.content.thumbnail:MakeThumbnailHandler",
        max_attempts=MOST_ATTEMPTS,
        priority=HIGH,
        announces=thumbnail_ready,
    ),
    JobType(
        name="metadata",
        parse=parse_content_file,
        handler="src.application.content.metadata:ReadMetadataHandler",
        max_attempts=MOST_ATTEMPTS,
        priority=HIGH,
        announces=metadata_ready,
    ),
    JobType(
        name="cache_warm",
        parse=parse_content_file,
        handler="src.application.content.cache_warm:WarmCacheHandler",
        max_attempts=MOST_ATTEMPTS,
    ),
    JobType(
        name="cleanup",
        parse=parse_cleanup,
        handler="src.application.content.cleanup:CleanUpHandler",
        max_attempts=MOST_ATTEMPTS,
        priority=LOW,
    ),
    JobType(
        name="daily_statistics",
        parse=parse_daily_statistics,
        handler="src.application.content.statistics:DailyStatisticsHandler",
        max_attempts=MOST_ATTEMPTS,
    ),
]
