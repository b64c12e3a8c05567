"""`kill -9` of the worker 20 times during 100 short jobs (the long form of tests/functional/test_crash_storm.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.infrastructure.ffmpeg.binary import find_ffmpeg
from tests.functional.fleet import Fleet
from tests.functional.storm import check, crash_storm, make_clip, published_attempts

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_twenty_kills_during_a_hundred_videos_lose_nothing(tmp_path: Path, seed: int) -> None:
    fleet = Fleet(tmp_path / "data")
    try:
        clip = make_clip(str(find_ffmpeg()), tmp_path / "clip.mp4")
        account = crash_storm(fleet, clip, jobs=100, kills=20, workers=2, pause=(1.0, 4.0), seed=seed)
        print(account)
        check(account, 100)
        assert all(len(published_attempts(fleet, number)) == 1 for number in range(100))
    finally:
        fleet.close()
