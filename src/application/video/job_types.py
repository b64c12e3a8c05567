"""Registers video jobs."""

from __future__ import annotations

from src.application.catalog import JobType
from src.application.video.delete_request import parse_removal
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

DELETE_OBJECTS_JOB = JobType(
    name="delete_objects",
    parse=parse_removal,
    handler="src.application.video.delete_handler:DeleteObjectsHandler",
    # The retry policy of the network has five retries (domain/retry.py).
    max_attempts=6,
    needs_rows=True,
)

JOB_TYPES = [VIDEO_JOB, DELETE_OBJECTS_JOB]
