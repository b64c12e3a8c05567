"""Probe and thumbnail of a big film in a bucket: read by ranges, beside downloading it and then asking ffmpeg.

Both sides are asked for the same: what the film is, and the first picture that is not black of the places that the thumbnail job looks
at (a tenth of the film first), 640x360. Ours is the `thumbnail` job's own handler (head, ranges, sandboxed probe, ffmpeg in the
sandbox, the picture in the cache); the other is what a good engineer does by hand: `download_file` of the SDK (ten threads), `ffmpeg -i`
for the facts (ffprobe does the same work), one `ffmpeg -ss` for each place that scales the picture, writes it and measures its brightness,
without any sandbox. One client, warm, for both; ours has worked once before, as a worker has after its first job. The server is the
tests' own, on loopback. Measured twice: as it is, where a download costs no more than copying in memory, and over the network of
benchmarks/probing.py: ours waits a round trip and the bytes' time at each read, the SDK's download is held to the same rate by the SDK
itself, and pays no round trip.

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
from typing import TYPE_CHECKING, Any, cast

from benchmarks.measure import ratio, rounds
from benchmarks.probing import BYTES_PER_SECOND, ROUND_TRIP_SECONDS
from src.domain.content.thumbnail import DARK, places

if TYPE_CHECKING:
    from src.application.ports.storage import Storage

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
                **{
                    name: _compared(
                        count, Ours(storage, binary, folder, is_slow), Theirs(storage, binary, folder, is_slow)
                    )
                    for name, is_slow in (("loopback", False), ("over_20_ms_and_400_mbit_s", True))
                },
            }
    finally:
        # It takes its time to stop, and nothing of it is wanted.
        server.kill()
        server.remove()
    print(json.dumps(figures, indent=2))
    return figures


def _compared(count: int, ours: Ours, theirs: Theirs) -> dict[str, object]:
    ours()
    by_ranges, by_download = rounds(count, ours, theirs)
    low, middle, high = ratio([run.wall for run in by_ranges], [run.wall for run in by_download])
    return {
        "bytes_read_over_size": round(max(run.read for run in by_ranges) / by_download[0].read, 4),
        "requests": by_ranges[0].requests,
        "wall_ours_over_download": {"min": round(low, 3), "median": round(middle, 3), "max": round(high, 3)},
        "seconds": {
            "ours": round(statistics.median(run.wall for run in by_ranges), 3),
            "download": round(statistics.median(run.wall for run in by_download), 3),
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


@dataclass
class Counted:
    """The bucket, counted and, if asked for, as slow as a network."""

    kept: Any
    is_slow: bool
    read_bytes: int = 0
    requests: int = 0

    def head(self, key: str) -> Any:
        """Looked up."""
        return self.kept.head(key)

    def read(self, key: str, offset: int, length: int, *, version: str | None = None) -> bytes:
        """Counted."""
        content: bytes = self.kept.read(key, offset, length, version=version)
        self.read_bytes += len(content)
        self.requests += 1
        if self.is_slow:
            time.sleep(ROUND_TRIP_SECONDS + len(content) / BYTES_PER_SECOND)
        return content


class Ours:
    """The thumbnail job, in a process that stays."""

    def __init__(self, storage: Any, binary: Path, folder: Path, is_slow: bool) -> None:
        from src.application.content.media_files import MediaFiles
        from src.application.content.settings import ContentSettings
        from src.application.content.thumbnail import MakeThumbnailHandler
        from src.application.content.tier import CacheTier
        from src.infrastructure.clock import SystemClock
        from src.infrastructure.ffmpeg.pictures import FfmpegPictures
        from src.infrastructure.ffmpeg.prober import PyAvProber
        from src.infrastructure.ffmpeg.sandbox import Sandbox
        from src.infrastructure.ffmpeg.viewer import CutViewer
        from src.infrastructure.memory.contents import MemoryContents
        from src.infrastructure.storage.filesystem import FilesystemStorage

        self._folder = folder
        self._bucket = Counted(storage, is_slow)
        self._handler = MakeThumbnailHandler(
            contents=MemoryContents(),
            files=MediaFiles(cast("Storage", self._bucket)),
            tier=CacheTier(FilesystemStorage(folder / "cache"), folder / "cache"),
            viewer=CutViewer(PyAvProber(), lambda: FfmpegPictures(binary, Sandbox())),
            clock=SystemClock(),
            settings=ContentSettings(),
        )

    def __call__(self) -> Run:
        """One job."""
        from src.application.content.request import ContentFile
        from tests.fakes.content import a_run

        self._bucket.read_bytes = self._bucket.requests = 0
        began = time.perf_counter()
        self._handler.handle(ContentFile("film", KEY), a_run(self._folder))
        return Run(time.perf_counter() - began, self._bucket.read_bytes, self._bucket.requests)


@dataclass
class Theirs:
    """Download, facts, picture."""

    storage: Any
    binary: Path
    folder: Path
    is_slow: bool

    def __call__(self) -> Run:
        """Once."""
        from boto3.s3.transfer import TransferConfig

        local, config = (
            self.folder / "input.mp4",
            TransferConfig(max_bandwidth=BYTES_PER_SECOND if self.is_slow else None),
        )
        began = time.perf_counter()
        client = self.storage._client()  # noqa: SLF001 - the very same client
        client.download_file(self.storage.bucket, KEY, str(local), Config=config)
        # It ends with an error because it is given nothing to do; what it says of the film comes before.
        said = self._ffmpeg("-i", str(local))
        clock = said.split("Duration: ", 1)[1].split(",", 1)[0]
        hours, minutes, seconds = (float(part) for part in clock.split(":"))
        if not any(
            self._is_bright(local, second) for second in places(hours * 3600 + minutes * 60 + seconds, POSITION)
        ):
            raise RuntimeError("no picture")
        wall, size = time.perf_counter() - began, local.stat().st_size
        local.unlink()
        return Run(wall, size, 1)

    def _is_bright(self, local: Path, second: float) -> bool:
        measured = (
            "scale=640:360:force_original_aspect_ratio=decrease,signalstats,metadata=print:key=lavfi.signalstats.YAVG"
        )
        picture = ["-frames:v", "1", "-vf", measured, "-q:v", "3", str(self.folder / "theirs.jpg")]
        said = self._ffmpeg("-ss", f"{second:.3f}", "-i", str(local), *picture)
        return float(said.split("lavfi.signalstats.YAVG=", 1)[1].split(maxsplit=1)[0]) >= DARK

    def _ffmpeg(self, *words: str) -> str:
        command = [str(self.binary), "-hide_banner", "-nostdin", "-y", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr


if __name__ == "__main__":
    main()
