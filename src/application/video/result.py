"""The completion contract: every artefact of a video job has its key here (lesson 24)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from src.application.video.stream import Stream
from src.domain.errors import OutputInvalid
from src.domain.video.keys import MASTER
from src.domain.video.plan import Plan
from src.domain.video.source import SourceMedia


def describe(
    *,
    media: SourceMedia,
    plan: Plan,
    stream: Stream,
    prefix: str,
    pictures: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """The job's result (mission.md, Names). Raises OutputInvalid when a film has no thumbnail."""
    if media.video is not None and not pictures.get("thumbnail_path"):
        raise OutputInvalid("the video has pictures but no thumbnail")
    return {
        "hls_path": prefix + MASTER,
        "thumbnail_path": pictures.get("thumbnail_path"),
        "storyboard_path": pictures.get("storyboard_path"),
        "duration_seconds": stream.seconds,
        "renditions": [dict(rendition) for rendition in stream.renditions],
        "metadata": metadata(media, plan) | {"thumbnail_second": pictures.get("thumbnail_second")} | dict(facts),
    }


def metadata(media: SourceMedia, plan: Plan) -> dict[str, Any]:
    """What the source is. `resolution` as it is shown (rotation and pixel shape applied), WIDTHxHEIGHT."""
    video = media.video
    shown = None if video is None else video.display_size
    return {
        "duration_seconds": round(media.duration_seconds, 3),
        "duration_exact": media.duration_exact,
        "video_codec": None if video is None else video.codec,
        "audio_codec": media.audio[0].codec if media.audio else None,
        "audio_tracks": len(media.audio),
        "resolution": None if shown is None else f"{round(shown[0])}x{round(shown[1])}",
        "file_size": media.size,
        "container": media.container,
        "fps": None if plan.fps is None else round(float(plan.fps), 3),
        "rotation": 0 if video is None else video.rotation,
        "hdr": video is not None and video.is_hdr,
        "segment_container": plan.container,
    }
