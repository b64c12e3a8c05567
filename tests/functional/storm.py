"""A crash storm over real video jobs, and the account of it afterwards."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from src.domain.job import JobState
from src.domain.video.video import VideoStatus
from tests.functional.fleet import Fleet, kill


@dataclass(frozen=True, slots=True)
class Account:
    """What a storm left."""

    states: dict[str, int]
    ready: int
    kills: int
    commits_per_job: int
    lost_attempts: int
    left_running: list[str]
    scratch: list[str]
    seconds: float


def crash_storm(
    fleet: Fleet, clip: Path, *, jobs: int, kills: int, workers: int, pause: tuple[float, float], seed: int = 1
) -> Account:
    """Publish `jobs` videos, kill -9 a random worker `kills` times (its place is filled at once), let the rest drain."""
    dice, began = random.Random(seed), time.monotonic()
    for number in range(jobs):
        key = f"tenants/acme/video/raw/v{number}/source.mp4"
        fleet.adapters.storage().put_file(key, clip, content_type="video/mp4", cache_control="no-cache")
        body = {"video_id": f"v{number}", "file_key": key, "tenant_code": "acme", "created_at": "2026-01-01T00:00:00Z"}
        fleet.publish(json.dumps({**body, "attempt": 1}).encode(), key=f"v{number}")
    running = [fleet.start() for _ in range(workers)]
    done = 0
    while done < kills:
        time.sleep(dice.uniform(*pause))
        place = dice.randrange(workers)
        kill(running[place])
        done += 1
        running[place] = fleet.start()
    for worker in running:
        worker.terminate()
    for worker in running:
        worker.wait(60)
    drained = [fleet.start("--drain") for _ in range(workers)]
    codes = [worker.wait(600) for worker in drained]
    assert codes == [0] * workers, codes
    return _account(fleet, jobs, done, time.monotonic() - began)


def _account(fleet: Fleet, jobs: int, kills: int, seconds: float) -> Account:
    states = Counter(str(state) for state in fleet.states().values())
    ledger = fleet.adapters.ledger()
    outcomes = [attempt.outcome for name in fleet.states() for attempt in ledger.attempts(name)]
    per_job = max(
        Counter(name for name in fleet.states() for a in ledger.attempts(name) if a.outcome == "SUCCEEDED").values()
    )
    videos = [fleet.adapters.videos().find(f"v{number}") for number in range(jobs)]
    return Account(
        states=dict(states),
        ready=sum(video is not None and video.status is VideoStatus.READY for video in videos),
        kills=kills,
        commits_per_job=per_job,
        lost_attempts=sum(outcome == "LOST" for outcome in outcomes),
        left_running=fleet.left_running(),
        scratch=fleet.scratch_folders(),
        seconds=round(seconds, 1),
    )


def check(account: Account, jobs: int) -> None:
    """G1: nothing lost, nothing twice, nothing left."""
    assert account.states == {JobState.SUCCEEDED.value: jobs}, account
    assert account.ready == jobs, account
    assert account.commits_per_job == 1, account
    assert account.left_running == [], account
    assert account.scratch == [], account


def published_attempts(fleet: Fleet, number: int) -> set[str]:
    """Attempt folders of one video that storage holds."""
    prefix = f"tenants/acme/video/hls/v{number}/"
    return {stored.key.removeprefix(prefix).split("/")[0] for stored in fleet.adapters.storage().list(prefix)}


def make_clip(
    ffmpeg: str,
    target: Path,
    seconds: float = 1.0,
    *,
    size: str = "320x180",
    rate: int = 24,
    tone: int | None = 440,
    preset: str | None = None,
) -> Path:
    """A short moving picture, with a tone of so many Hz or without sound."""
    command = [
        ffmpeg,
        "-v",
        "error",
        "-nostdin",
        "-y",
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=size={size}:rate={rate}:d={seconds}",
    ]
    if tone is not None:
        command += ["-f", "lavfi", "-i", f"sine=frequency={tone}:duration={seconds}"]
    command += ["-c:v", "libx264", *(["-preset", preset] if preset else []), "-pix_fmt", "yuv420p"]
    if tone is not None:
        command += ["-c:a", "aac", "-shortest"]
    subprocess.run([*command, str(target)], check=True)
    return target
