"""A big film to and from a bucket: our storage beside the transfer library alone, and the memory it takes.

Each run is a process of its own that makes the same client, asks one small thing to be warm, and is then timed: ours does
what the executor does (ranged reads of one version, in order, hashed, into scratch; a file with its headers, then looked at),
the library's does `download_file` and `upload_file` with the same part size and the same number of parts at once. Neither
flushes to disk. The server is the tests' own, on loopback, so its CPU is shared by both.

    python -m benchmarks storage                  # BENCH_MIB=200 BENCH_ROUNDS=5
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import ratio, rounds

ROOT = Path(__file__).resolve().parents[1]
KEY = "bench/film.mp4"
GOAL = 1.2
HEADERS = {"ContentType": "video/mp4", "CacheControl": "no-cache"}


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds of the transfer; resident MiB at most, and before it began; seconds of CPU in the transfer."""

    wall: float
    cpu: float
    peak: float
    before: float


def main(count: int | None = None) -> dict[str, object]:
    """Measure and print."""
    from tests.servers.kinds import start_s3

    count = count or int(os.environ.get("BENCH_ROUNDS", "5"))
    mib = int(os.environ.get("BENCH_MIB", "200"))
    server = start_s3()
    try:
        with tempfile.TemporaryDirectory(prefix="mediaworker-bench-") as name:
            film, small = Path(name, "film"), Path(name, "small")
            _fill(film, mib)
            _fill(small, mib // 4)
            figures: dict[str, object] = {"mib": mib, "rounds": count, "goal": GOAL}
            for way in ("upload", "download"):
                figures[way] = _compared(server.url, way, film, small, count)
    finally:
        # It takes its time to stop, and nothing of it is wanted.
        server.kill()
        server.remove()
    print(json.dumps(figures, indent=2))
    return figures


def _compared(url: str, way: str, film: Path, small: Path, count: int) -> dict[str, object]:
    if way == "download":
        _child(url, "upload", "library", film)
    ours, library = rounds(count, lambda: _child(url, way, "ours", film), lambda: _child(url, way, "library", film))
    if way == "download":
        _child(url, "upload", "library", small)
    quarter = _child(url, way, "ours", small)
    low, middle, high = ratio([run.wall for run in ours], [run.wall for run in library])
    return {
        "wall_ours_over_library": {
            "min": round(low, 3),
            "median": round(middle, 3),
            "max": round(high, 3),
            "of_medians": round(_median(ours, "wall") / _median(library, "wall"), 3),
        },
        "cpu_ours_over_library": round(_median(ours, "cpu") / _median(library, "cpu"), 3),
        "seconds": {"ours": round(_median(ours, "wall"), 3), "library": round(_median(library, "wall"), 3)},
        "peak_rss_mib": {
            "ours": round(max(run.peak for run in ours), 1),
            "library": round(max(run.peak for run in library), 1),
            "ours_before_the_transfer": round(_median(ours, "before"), 1),
            "ours_with_a_quarter_of_the_film": round(quarter.peak, 1),
        },
    }


def _median(runs: list[Run], name: str) -> float:
    return float(statistics.median(getattr(run, name) for run in runs))


def _fill(path: Path, mib: int) -> None:
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))


# ---------------------------------------------------------------------- one run, in a process of its own
def _child(url: str, way: str, whose: str, film: Path) -> Run:
    command = [sys.executable, "-m", "benchmarks.storage", url, way, whose, str(film)]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return Run(**json.loads(said))


def transfer(url: str, way: str, whose: str, film: Path) -> Run:
    """One transfer, timed."""
    from src.infrastructure.s3.storage import S3Storage
    from tests.servers.kinds import S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY

    storage = S3Storage(bucket=S3_BUCKET, endpoint_url=url, access_key=S3_ACCESS_KEY, secret_key=S3_SECRET_KEY)
    storage.check()
    with tempfile.TemporaryDirectory(prefix="mediaworker-bench-") as name:
        action = {"ours": _ours, "library": _library}[whose](storage, way, film, Path(name))
        before, began, busy = _resident(), time.perf_counter(), time.process_time()
        size = action()
        wall, cpu = time.perf_counter() - began, time.process_time() - busy
    if size != film.stat().st_size:
        raise RuntimeError(f"{size} of {film.stat().st_size} bytes arrived")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Run(wall=wall, cpu=cpu, peak=peak, before=before)


def _ours(storage: Any, way: str, film: Path, folder: Path) -> Any:
    from src.application.video.download import bringer, fetch
    from src.application.video.steady import Steady
    from src.infrastructure.clock import SystemClock

    def download() -> int:
        source = storage.head(KEY)
        return fetch(bringer(storage, source, Steady(SystemClock())), source.size, folder, lambda _share: None).size

    def upload() -> int:
        size: int = storage.put_file(KEY, film, content_type="video/mp4", cache_control="no-cache").size
        return size

    return {"download": download, "upload": upload}[way]


def _library(storage: Any, way: str, film: Path, folder: Path) -> Any:
    from boto3.s3.transfer import TransferConfig

    from src.application.video.download import AHEAD, RANGE_BYTES
    from src.infrastructure.s3.storage import PART_BYTES, PARTS_AT_ONCE

    client, bucket = storage._client(), storage.bucket  # noqa: SLF001 - the very same client

    def download() -> int:
        config = TransferConfig(multipart_threshold=RANGE_BYTES, multipart_chunksize=RANGE_BYTES, max_concurrency=AHEAD)
        client.download_file(bucket, KEY, str(folder / "input"), Config=config)
        return (folder / "input").stat().st_size

    def upload() -> int:
        config = TransferConfig(
            multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=PARTS_AT_ONCE
        )
        client.upload_file(str(film), bucket, KEY, ExtraArgs=HEADERS, Config=config)
        return film.stat().st_size

    return {"download": download, "upload": upload}[way]


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    if len(sys.argv) > 1:
        done = transfer(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]))
        print(json.dumps({name: getattr(done, name) for name in Run.__dataclass_fields__}))
    else:
        main()
