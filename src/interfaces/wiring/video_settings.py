"""The settings of video jobs."""

from __future__ import annotations

import json
import re
from typing import Literal

from pydantic import Field, field_validator

from src.domain.errors import ConfigError
from src.domain.video.ladder import LADDERS, ladder_from_json
from src.interfaces.wiring.group import Count, Group, Positive


class VideoSettings(Group):
    """How videos are turned into HLS."""

    ladder: str = Field(
        default="default",
        description="`default` (240/360/480/720/1080), `academy`, or a JSON list of rungs (docs/video.md).",
    )
    container: Literal["fmp4", "ts"] = Field(default="fmp4", description="Segments as CMAF (`fmp4`) or MPEG-TS (`ts`).")
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] = (
        Field(default="veryfast", description="libx264's trade of time for size.")
    )
    segment_seconds: float = Field(default=4.0, ge=1, le=30, description="Length of one segment.")
    chunk_seconds: float = Field(
        default=8.0, ge=1, le=600, description="Length of one chunk, the unit of work and of restart."
    )
    parallel: Count = Field(default=0, description="Chunks encoded at a time; 0: one per core.")
    upload_concurrency: int = Field(default=8, ge=1, le=64, description="Uploads at a time.")
    stall_seconds: Positive = Field(
        default=900.0, description="A job without progress this long is killed and tried again."
    )
    max_attempts: int = Field(default=5, ge=1, le=100, description="Executions before a video job is DEAD.")
    thumbnail_position: float = Field(
        default=0.1, ge=0, le=1, description="Where the thumbnail is taken, as a share of the duration."
    )
    thumbnail_width: int = Field(default=640, ge=16, le=4096, description="The thumbnail fits into this width.")
    thumbnail_height: int = Field(default=360, ge=16, le=4096, description="The thumbnail fits into this height.")
    storyboard: bool = Field(default=True, description="Make the storyboard (sprite sheets and WebVTT).")
    allow_partial: bool = Field(
        default=False, description="Publish what could be read of a truncated or corrupt source."
    )
    max_duration_seconds: float = Field(default=43_200.0, gt=0, description="Longest source that is accepted.")
    max_bytes: int = Field(default=50 * 2**30, gt=0, description="Largest source that is accepted.")
    max_pixels: int = Field(default=8192 * 4352, gt=0, description="Largest picture (width x height) that is accepted.")
    source_key_pattern: str = Field(
        default="",
        description="Keys that storage events are obeyed for: a regular expression with the groups `tenant` and "
        "`video_id`. Empty: `tenants/{tenant}/video/raw/[{session}/]{video_id}.{ext}`.",
    )
    require_tenant_prefix: bool = Field(default=False, description="Refuse source keys outside `tenants/{tenant}/`.")

    @field_validator("ladder")
    @classmethod
    def _ladder(cls, value: str) -> str:
        if value in LADDERS:
            return value
        try:
            ladder_from_json(json.loads(value))
        except ConfigError as error:
            raise ValueError(str(error)) from error
        except ValueError as error:
            raise ValueError(f"is neither {', '.join(LADDERS)}, nor a JSON list of rungs") from error
        return value

    @field_validator("source_key_pattern")
    @classmethod
    def _pattern(cls, value: str) -> str:
        try:
            groups = set(re.compile(value).groupindex)
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        if value and not {"tenant", "video_id"} <= groups:
            raise ValueError("lacks the groups (?P<tenant>...) and (?P<video_id>...)")
        return value
