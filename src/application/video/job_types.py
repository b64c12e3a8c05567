"""Registers video jobs."""

from __future__ import annotations

from src.application.catalog import JobType
from src.application.video.effects import video_effects
from src.application.video.request import JOB_TYPE, parse_encode_video, video_subject

VIDEO_JOB = JobType(
    name=JOB_TYPE,
    parse=parse_encode_video,
    handler="src.application.video.handler:ProcessVideoJobHandler",
    subject=video_subject,
    effects=video_effects,
    max_attempts=5,
)

JOB_TYPES = [VIDEO_JOB]
