"""Media tools from settings. Imported only when a handler asks for one of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from src.application.video.settings import VideoSettings
from src.domain.video.ladder import LADDERS, ladder_from_json
from src.domain.video.planning import PlanSettings
from src.infrastructure.ffmpeg.encoder import EncoderSettings, FfmpegEncoder
from src.infrastructure.ffmpeg.pictures import FfmpegPictures, PictureSettings
from src.infrastructure.ffmpeg.prober import ProbeLimits, PyAvProber
from src.infrastructure.ffmpeg.sandbox import Limits, Sandbox
from src.infrastructure.ffmpeg.viewer import CutViewer
from src.interfaces.wiring.settings import Settings


def make_encoder(binary: Path, settings: Settings) -> FfmpegEncoder:
    """Encodes chunks and sound tracks."""
    return FfmpegEncoder(binary, sandbox(settings), EncoderSettings(limits=limits(settings)))


def make_pictures(binary: Path, settings: Settings) -> FfmpegPictures:
    """Takes thumbnails and storyboards."""
    return FfmpegPictures(binary, sandbox(settings), PictureSettings(limits=limits(settings)))


def make_prober(settings: Settings) -> PyAvProber:
    """Looks at sources."""
    video = settings.video
    return PyAvProber(
        limits=ProbeLimits(
            pixels=video.max_pixels,
            duration_seconds=video.max_duration_seconds,
            source_bytes=video.max_bytes,
            wall_seconds=settings.ffmpeg.probe_timeout_seconds,
        ),
        sandbox=sandbox(settings),
        allow_partial=video.allow_partial,
    )


def make_viewer(binary: Path, prober: PyAvProber, settings: Settings) -> CutViewer:
    """Looks at sources and takes stills of them; every view has a tool of its own, since stopping one is final."""
    return CutViewer(prober, lambda: make_pictures(binary, settings))


def limits(settings: Settings) -> Limits:
    """What one ffmpeg process may use."""
    ffmpeg = settings.ffmpeg
    return Limits(address_space=ffmpeg.memory_bytes, cpu_seconds=ffmpeg.cpu_seconds, file_bytes=ffmpeg.file_bytes)


def sandbox(settings: Settings) -> Sandbox:
    """The fence around media tools."""
    return Sandbox(mode=settings.ffmpeg.sandbox, limits=limits(settings))


def plan_settings(settings: Settings) -> PlanSettings:
    """What the plan is made by."""
    video = settings.video
    return PlanSettings(
        ladder=LADDERS.get(video.ladder) or ladder_from_json(json.loads(video.ladder)),
        container=video.container,
        preset=video.preset,
        segment_seconds=video.segment_seconds,
        chunk_seconds=video.chunk_seconds,
        allow_partial=video.allow_partial,
    )


def video_settings(settings: Settings) -> VideoSettings:
    """What the handler of video jobs goes by."""
    video = settings.video
    return VideoSettings(
        plan=plan_settings(settings),
        parallel=video.parallel or len(os.sched_getaffinity(0)),
        upload_concurrency=video.upload_concurrency,
        thumbnail_position=video.thumbnail_position,
        thumbnail_width=video.thumbnail_width,
        thumbnail_height=video.thumbnail_height,
        storyboard=video.storyboard,
        require_tenant_prefix=video.require_tenant_prefix,
    )
