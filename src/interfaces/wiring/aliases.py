"""Names that the source documents gave to settings (contracts.md 1.13, 2; seed 002), still understood.

A `WORKER_*` variable wins over an alias; of several aliases of one setting the one listed first wins. The object store
and AWS have settings of their own, so that two secrets never share one name (lesson 28).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

ALIASES: dict[str, tuple[str, ...]] = {
    "concurrency": ("GRAPHILE_WORKER_CONCURRENCY",),
    "scratch_dir": ("VIDEO_WORKER_TEMP_DIR",),
    "queue.name": ("VIDEO_SQS_QUEUE_NAME",),
    "storage.bucket": ("R2_VIDEO_BUCKET", "R2_BUCKET", "S3_BUCKET"),
    "storage.prefix": ("R2_PREFIX",),
    "storage.endpoint_url": ("R2_ENDPOINT",),
    "storage.region": ("R2_REGION",),
    "storage.access_key": ("R2_ACCESS_KEY",),
    "storage.secret_key": ("R2_SECRET_KEY",),
    "aws.region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "aws.endpoint_url": ("AWS_ENDPOINT_URL",),
    "batch.queue": ("VIDEO_BATCH_JOB_QUEUE",),
    "batch.definition": ("VIDEO_BATCH_JOB_DEFINITION",),
    "ffmpeg.path": ("FFMPEG_BIN",),
    "ffmpeg.probe_timeout_seconds": ("FFPROBE_TIMEOUT_SECONDS",),
    "progress.ttl_seconds": ("VIDEO_PROGRESS_TTL_SECONDS",),
    "video.segment_seconds": ("HLS_TIME_SECONDS",),
    "video.upload_concurrency": ("UPLOAD_MAX_CONCURRENCY",),
    "video.max_attempts": ("VIDEO_JOB_MAX_ATTEMPTS",),
}
"""{setting: its other names}. REDIS_HOST, REDIS_PORT, REDIS_PASSWORD and REDIS_DB together stand for redis.url."""

REDIS_PARTS = ("REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_DB")


def aliased(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """{setting: (alias in use, value)} for every setting that an alias names; empty values count as unset."""
    found: dict[str, tuple[str, str]] = {}
    for setting, names in ALIASES.items():
        for name in names:
            if environ.get(name):
                found[setting] = (name, environ[name])
                break
    if environ.get("REDIS_HOST"):
        found["redis.url"] = ("REDIS_HOST", _redis_url(environ))
    return found


def _redis_url(environ: Mapping[str, str]) -> str:
    password = environ.get("REDIS_PASSWORD", "")
    login = f":{quote(password, safe='')}@" if password else ""
    return (
        f"redis://{login}{environ['REDIS_HOST']}:{environ.get('REDIS_PORT') or '6379'}/{environ.get('REDIS_DB') or '0'}"
    )
