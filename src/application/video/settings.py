"""What an operator decides about video jobs; the wiring fills it from WORKER_VIDEO__*."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.domain.video.planning import PlanSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSettings:
    """`parallel`: chunks encoded at a time. `free_space_factor`: scratch space wanted, in sizes of the source."""

    plan: PlanSettings = field(default_factory=PlanSettings)
    parallel: int = 1
    upload_concurrency: int = 8
    waiting_chunks: int = 8
    """encoded chunks that may wait for their upload before encoding pauses, so that scratch stays small"""
    free_space_factor: float = 3.0
    thumbnail_position: float = 0.1
    thumbnail_width: int = 640
    thumbnail_height: int = 360
    storyboard: bool = True
    storyboard_tile_width: int = 160
    storyboard_most_tiles: int = 300
    require_tenant_prefix: bool = False
    tries: int = 6
    """of one call to storage or database, before the attempt fails (contracts.md 1.10)"""
