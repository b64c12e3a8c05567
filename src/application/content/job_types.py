"""Registers the content jobs."""

from __future__ import annotations

from src.application.catalog import JobType
from src.application.content.cleanup import parse_cleanup
from src.application.content.request import parse_content_file
from src.application.content.statistics import parse_daily_statistics

# The policy of an error's class decides how often it is tried (domain/retry.py); the network's has five retries.
MOST_ATTEMPTS = 6

JOB_TYPES = [
    JobType(
        name="thumbnail",
        parse=parse_content_file,
        handler="src.application.content.thumbnail:MakeThumbnailHandler",
        max_attempts=MOST_ATTEMPTS,
    ),
    JobType(
        name="metadata",
        parse=parse_content_file,
        handler="src.application.content.metadata:ReadMetadataHandler",
        max_attempts=MOST_ATTEMPTS,
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
    ),
    JobType(
        name="daily_statistics",
        parse=parse_daily_statistics,
        handler="src.application.content.statistics:DailyStatisticsHandler",
        max_attempts=MOST_ATTEMPTS,
    ),
]
