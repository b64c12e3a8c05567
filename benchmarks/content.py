"""Probe and thumbnail of a big film in a bucket: read by ranges, beside downloading it and then asking ffmpeg.

Both sides are asked for the same: what the film is, and the picture at a tenth of it, 640x360. Ours is the thumbnail job's own
way (sandboxed child, ranges, ffmpeg in the sandbox); the other is what is done by hand: `download_file` of the SDK, `ffmpeg -i`
for the facts (ffprobe does the same work), `ffmpeg -ss` for the picture, without any sandbox. One client, warm, for both; the
server is the tests' own, on loopback. Measured twice: as it is, where a download costs no more than copying in memory, and over
the network of benchmarks/probing.py: ours waits a round trip and the bytes' time at each read, the SDK's download is held to the
same rate by the SDK itself, and pays no round trip.

    python -m benchmarks content                  # BENCH_MIB=200 BENCH_ROUNDS=5
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import ratio, rounds
from benchmarks.probing import BYTES_PER_SECOND, ROUND_TRIP_SECONDS

KEY = "bench/film.mp4"
GOAL_BYTES = 0.05
GOAL_WALL = 0.5
CLIP_SECONDS = 10
CLIP_KBIT = 5000
POSITION = 0.1


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds, and bytes and requests that the bucket was asked for."""

    wall: float
    read: int
    requests: int


def main(count: int | None = None) -> dict[str, object]:
    """Measure and print."""
    from src.infrastructure.ffmpeg.binary import find_ffmpeg
    from src.infrastructure.s3.storage import S3Storage
    from tests.servers.kinds import S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY, start_s3

    count = count or int(os.environ.get("BENCH_ROUNDS", "5"))
    mib = int(os.environ.get("BENCH_MIB", "200"))
    server, binary = start_s3(), find_ffmpeg()
    try:
        with tempfile.TemporaryDirectory(prefix="mediaworker-bench-") as name:
            folder = Path(name)
            film = long_film(binary, folder, mib)
            size = film.stat().st_size
            storage = S3Storage(
                bucket=S3_BUCKET, endpoint_url=server.url, access_key=S3_ACCESS_KEY, secret_key=S3_SECRET_KEY
            )
            storage.put_file(KEY, film, content_type="video/mp4", cache_control="no-cache")
            film.unlink()
            figures = {
                "mib": round(size / 2**20, 1),
                "rounds": count,
                "goals": {"bytes": GOAL_BYTES, "wall": GOAL_WALL},
                "loopback": _compared(count, storage, binary, folder, is_slow=False),
                "over_20_ms_and_400_mbit_s": _compared(count, storage, binary, folder, is_slow=True),
            }
    finally:
        # It takes its time to stop, and nothing of it is wanted.
        server.kill()
        server.remove()
    print(json.dumps(figures, indent=2))
    return figures


def _compared(count: int, storage: Any, binary: Path, folder: Path, *, is_slow: bool) -> dict[str, object]:
    ours, theirs = rounds(
        count,
        lambda: _ours(storage, binary, folder, is_slow=is_slow),
        lambda: _theirs(storage, binary, folder, is_slow=is_slow),
    )
    low, middle, high = ratio([run.wall for run in ours], [run.wall for run in theirs])
    return {
        "bytes_read_over_size": round(max(run.read for run in ours) / theirs[0].read, 4),
        "requests": ours[0].requests,
        "wall_ours_over_download": {"min": round(low, 3), "median": round(middle, 3), "max": round(high, 3)},
        "seconds": {
            "ours": round(statistics.median(run.wall for run in ours), 3),
            "download": round(statistics.median(run.wall for run in theirs), 3),
        },
    }


def long_film(binary: Path, folder: Path, mib: int) -> Path:
    """Ten seconds of 1080p at 5 Mbit/s, one keyframe each as x264 places them by itself, again and again; index at the end."""
    clip, film = folder / "clip.mp4", folder / "film.mp4"
    quiet = [str(binary), "-hide_banner", "-nostdin", "-y", "-loglevel", "error"]
    rate = f"{CLIP_KBIT}k"
    making = [
        *("-f", "lavfi", "-i", f"testsrc2=size=1920x1080:rate=25:duration={CLIP_SECONDS}"),
        *("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={CLIP_SECONDS}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-b:v", rate, "-minrate", rate),
        *("-maxrate", rate, "-bufsize", rate, "-x264-params", "nal-hrd=cbr", "-c:a", "aac", "-b:a", "128k"),
    ]
    subprocess.run([*quiet, *making, str(clip)], check=True)
    times = round(mib * 2**20 / clip.stat().st_size)
    looped = ["-stream_loop", str(times - 1), "-i", str(clip), "-c", "copy", str(film)]
    subprocess.run([*quiet, *looped], check=True)
    return film


def _ours(storage: Any, binary: Path, folder: Path, *, is_slow: bool) -> Run:
    from src.application.video.download import reader
    from src.application.video.steady import Steady
    from src.infrastructure.clock import SystemClock
    from src.infrastructure.ffmpeg.pictures import FfmpegPictures
    from src.infrastructure.ffmpeg.prober import PyAvProber
    from src.infrastructure.ffmpeg.sandbox import Sandbox
    from src.infrastructure.ffmpeg.viewer import CutViewer

    counted = [0, 0]
    began = time.perf_counter()
    source = storage.head(KEY)
    read = reader(storage, source, Steady(SystemClock()))

    def counting(offset: int, length: int) -> bytes:
        content = read(offset, length)
        counted[0] += len(content)
        counted[1] += 1
        if is_slow:
            time.sleep(ROUND_TRIP_SECONDS + len(content) / BYTES_PER_SECOND)
        return content

    viewer = CutViewer(PyAvProber(), lambda: FfmpegPictures(binary, Sandbox()))
    with viewer.view(counting, source.size) as view:
        second = view.media.duration_seconds * POSITION
        if view.still(second, width=640, height=360, target=folder / "ours.jpg") is None:
            raise RuntimeError("no picture")
    return Run(time.perf_counter() - began, counted[0], counted[1])


def _theirs(storage: Any, binary: Path, folder: Path, *, is_slow: bool) -> Run:
    from boto3.s3.transfer import TransferConfig

    local, config = folder / "input.mp4", TransferConfig(max_bandwidth=BYTES_PER_SECOND if is_slow else None)
    began = time.perf_counter()
    storage._client().download_file(storage.bucket, KEY, str(local), Config=config)  # noqa: SLF001 - the very same client
    quiet = [str(binary), "-hide_banner", "-nostdin", "-y"]
    # It ends with an error because it is given nothing to do; what it says of the film comes before.
    said = subprocess.run([*quiet, "-i", str(local)], capture_output=True, text=True, check=False).stderr
    clock = said.split("Duration: ", 1)[1].split(",", 1)[0]
    hours, minutes, seconds = (float(part) for part in clock.split(":"))
    second = (hours * 3600 + minutes * 60 + seconds) * POSITION
    scale = "scale=640:360:force_original_aspect_ratio=decrease"
    picture = ["-ss", f"{second:.3f}", "-i", str(local), "-frames:v", "1", "-vf", scale, "-q:v", "3"]
    subprocess.run([*quiet, "-loglevel", "error", *picture, str(folder / "theirs.jpg")], check=True)
    wall, size = time.perf_counter() - began, local.stat().st_size
    local.unlink()
    return Run(wall, size, 1)


if __name__ == "__main__":
    main()
