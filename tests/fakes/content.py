"""What content handlers are given in unit tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from src.application.outcome import Run
from src.application.ports.media import ReadRange
from src.domain.progress import ProgressReport
from src.domain.video.source import SourceMedia
from tests.fakes.media import film


@dataclass
class ScriptedView:
    """Says how bright it is at each second: the last one at or before it. None: no picture there."""

    media: SourceMedia
    bright: Mapping[float, float | None]
    bytes_read: int = 100
    reads: int = 1
    seconds: list[float] = field(default_factory=list)

    def still(self, second: float, *, width: int, height: int, target: Path) -> float | None:
        self.seconds.append(second)
        brightness = next((value for at, value in sorted(self.bright.items(), reverse=True) if at <= second), None)
        if brightness is not None:
            target.write_bytes(f"{second} {width}x{height}".encode())
        return brightness


@dataclass
class ScriptedViewer:
    """Gives the view, after it has read the first bytes as a probe does."""

    bright: Mapping[float, float | None] = field(default_factory=lambda: {0.0: 120.0})
    media: SourceMedia = field(default_factory=lambda: film(200.0))
    looked: list[ScriptedView] = field(default_factory=list)

    @contextmanager
    def view(self, read: ReadRange, size: int) -> Iterator[ScriptedView]:
        read(0, min(size, 16))
        self.looked.append(ScriptedView(self.media, self.bright))
        yield self.looked[-1]


def a_run(
    folder: Path, reports: list[ProgressReport] | None = None, *, tenant: str = "t1", attempt: int = 1, most: int = 6
) -> Run:
    """The first attempt of a job, or another one of `most`."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return Run(
        job_id="job-1",
        tenant=tenant,
        generation=1,
        fence=1,
        attempt=attempt,
        max_attempts=most,
        open_scratch=lambda: scratch,
        report=(reports if reports is not None else []).append,
    )
