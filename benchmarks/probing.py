"""Probe before download against download first: seconds and bytes until a source is accepted or refused.

The storage is a loopback of ours that costs a round trip per request and has a limited rate, like an object store."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import ratio, rounds
from benchmarks.pipeline import film
from src.infrastructure.ffmpeg.prober import PyAvProber

ROUND_TRIP_SECONDS = 0.020
BYTES_PER_SECOND = 50_000_000
"""20 ms and 400 Mbit/s: the figures of video.md section 2."""
DOWNLOAD_PIECE = 8 * 1024 * 1024


@dataclass
class SlowObject:
    """An object behind a network, counted."""

    path: Path
    requests: int = 0
    sent: int = 0
    _size: int = field(init=False)

    def __post_init__(self) -> None:
        self._size = self.path.stat().st_size

    def read(self, offset: int, length: int) -> bytes:
        self.requests += 1
        with self.path.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(length)
        self.sent += len(data)
        time.sleep(ROUND_TRIP_SECONDS + len(data) / BYTES_PER_SECOND)
        return data


def probe_first(clip: Path) -> tuple[float, int, int]:
    """Probe by ranges: (seconds, requests, bytes)."""
    source, began = SlowObject(clip), time.perf_counter()
    PyAvProber().probe(source.read, clip.stat().st_size)
    return time.perf_counter() - began, source.requests, source.sent


def download_first(clip: Path) -> tuple[float, int, int]:
    """Download all, then probe the local file."""
    source, began = SlowObject(clip), time.perf_counter()
    with tempfile.NamedTemporaryFile() as local:
        for offset in range(0, clip.stat().st_size, DOWNLOAD_PIECE):
            local.write(source.read(offset, DOWNLOAD_PIECE))
        local.flush()
        with Path(local.name).open("rb") as stream:

            def read(offset: int, length: int) -> bytes:
                stream.seek(offset)
                return stream.read(length)

            PyAvProber().probe(read, clip.stat().st_size)
    return time.perf_counter() - began, source.requests, source.sent


def main(count: int = 5) -> dict[str, object]:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="mediaworker-bench-") as name:
        clip = film(Path(name))
        first, after = rounds(count, lambda: probe_first(clip), lambda: download_first(clip))
        low, middle, high = ratio([run[0] for run in first], [run[0] for run in after])
        figures: dict[str, object] = {
            "source_mib": round(clip.stat().st_size / 2**20, 1),
            "probe_first_over_download_first": {
                "min": round(low, 3),
                "median": round(middle, 3),
                "max": round(high, 3),
            },
            "probe_first": {
                "seconds": round(statistics.median(run[0] for run in first), 3),
                "requests": first[0][1],
                "mib": round(first[0][2] / 2**20, 2),
            },
            "download_first": {
                "seconds": round(statistics.median(run[0] for run in after), 3),
                "requests": after[0][1],
                "mib": round(after[0][2] / 2**20, 2),
            },
        }
    print(json.dumps(figures, indent=2))
    return figures


if __name__ == "__main__":
    main()
