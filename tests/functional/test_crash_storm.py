"""The short form of the crash storm on the embedded queue. Like the long one it is run by `make chaos`; `make test` has the storm of
test_queue_storms.py, which has videos in it too."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.functional.fleet import Fleet
from tests.functional.storm import check, crash_storm, make_clip, published_attempts


@pytest.mark.chaos
def test_g1_kills_during_short_videos_lose_nothing_and_double_nothing(fleet: Fleet, tmp_path: Path) -> None:
    clip = make_clip(str(find_ffmpeg()), tmp_path / "clip.mp4")
    account = crash_storm(fleet, clip, jobs=10, kills=4, workers=2, pause=(1.0, 3.0))
    check(account, 10)
    assert all(len(published_attempts(fleet, number)) == 1 for number in range(10))
