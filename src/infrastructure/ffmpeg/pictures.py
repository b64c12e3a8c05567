"""The Pictures port with ffmpeg: a thumbnail that shows something, and a storyboard that costs little."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from src.application.ports.media import StoryboardSheet
from src.domain.errors import CorruptSource, JobError, OutputInvalid
from src.domain.video.source import SourceMedia, VideoStream
from src.domain.video.storyboard import TileGrid, fitted, tile_grid
from src.infrastructure.ffmpeg.picture_command import SEEN, SEEN_FILE, sheets_argv, still_argv
from src.infrastructure.ffmpeg.sandbox import Limits, Sandbox
from src.infrastructure.ffmpeg.tool import Patience, Tool
from src.infrastructure.ffmpeg.verdict import failure_of

DARK = 10.0
"""Mean brightness (0-255) under which a picture counts as black (contracts.md 4.2)."""

LATER = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8)
"""Where else to look, as shares of the duration after the wanted position; wraps round at the end."""

CHEAP_PIXELS = 300_000_000
"""Decoding this many pixels takes about a second: below it every frame is looked at, above only keyframes."""


SPARSE_SECONDS = 12.0
"""x264 by itself places a keyframe each 250 frames: 8 s of a phone's film, 10 s of a cinema's."""

MOST_PIXELS = 60_000_000_000
"""About three minutes of decoding: a longer film with few keyframes keeps tiles that repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSettings:
    """Limits of one ffmpeg process that makes pictures."""

    stall_seconds: float = 60.0
    wall_seconds: float = 900.0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class _Still:
    second: float
    brightness: float
    path: Path


class FfmpegPictures:
    """See application/ports/media.py Pictures. `binary` is what `binary.find_ffmpeg` found."""

    def __init__(self, binary: Path, sandbox: Sandbox, settings: PictureSettings | None = None) -> None:
        self._binary = binary
        self._settings = settings or PictureSettings()
        self._tool = Tool(sandbox)

    def stop(self) -> None:
        """Kill every process of this object; calls raise Cancelled from here on."""
        self._tool.stop()

    def thumbnail(
        self, source: Path, media: SourceMedia, *, position: float, width: int, height: int, target: Path
    ) -> float:
        """See the port. The brightest of up to nine places when all are dark; CorruptSource when none gives a picture."""
        video = _picture_of(media)
        size = fitted(video.display_size, width, height)
        best: _Still | None = None
        error: JobError | None = None
        with _workshop(target) as folder:
            for number, second in enumerate(_places(media, video, position)):
                try:
                    still = self._still(source, media, video, second, size, folder / str(number))
                except CorruptSource as failed:
                    error = failed
                    continue
                if still is not None and (best is None or still.brightness > best.brightness):
                    best = still
                if best is not None and best.brightness >= DARK:
                    break
            if best is None:
                raise error or CorruptSource("no picture can be taken from it")
            best.path.replace(target)
        return best.second

    def still(
        self, source: Path, media: SourceMedia, *, second: float, width: int, height: int, target: Path
    ) -> float | None:
        """The picture at `second` as a JPEG, and its mean brightness (0-255); None when the source has none there. Raises
        what `thumbnail` raises."""
        video = _picture_of(media)
        size = fitted(video.display_size, width, height)
        with _workshop(target) as folder:
            still = self._still(source, media, video, second, size, folder / "0")
            if still is None:
                return None
            still.path.replace(target)
        return still.brightness

    def storyboard(
        self, source: Path, media: SourceMedia, *, tile_width: int, most_tiles: int, folder: Path
    ) -> Sequence[StoryboardSheet]:
        """See the port. Tiles of a long film are its nearest keyframes."""
        video = _picture_of(media)
        grid = tile_grid(media.duration_seconds, most_tiles)
        size = _tile_size(video, tile_width)
        folder.mkdir(parents=True, exist_ok=True)
        is_cheap = _pixels(media, video) <= CHEAP_PIXELS
        with _workshop(folder / "storyboard") as workshop:
            made = [] if is_cheap else self._sheets(source, media, video, grid, size, workshop, keyframes_only=True)
            if len(made) < grid.sheets or (not is_cheap and _repeats(media, video, grid, workshop)):
                # also for a stream without marked keyframes (intra refresh)
                made = self._sheets(source, media, video, grid, size, workshop, keyframes_only=False)
            if len(made) < grid.sheets:
                raise OutputInvalid(f"ffmpeg made {len(made)} of {grid.sheets} storyboard sheets")
            return [_sheet(path.replace(folder / path.name), number, grid, size) for number, path in enumerate(made)]

    def _still(
        self, source: Path, media: SourceMedia, video: VideoStream, second: float, size: tuple[int, int], folder: Path
    ) -> _Still | None:
        """The picture at `second`; None when the source has none there (a cut file, a time behind the last frame)."""
        folder.mkdir()

        def argv(progress_fd: int) -> list[str]:
            return still_argv(
                self._binary, source, media.container, video, second=second, size=size, progress_fd=progress_fd
            )

        self._run(argv, source, folder)
        still, tiny = folder / "still.jpg", folder / "tiny.gray"
        if not still.exists() or not tiny.exists() or not still.stat().st_size or not tiny.stat().st_size:
            return None
        grey = tiny.read_bytes()
        return _Still(second, sum(grey) / len(grey), still)

    def _sheets(
        self,
        source: Path,
        media: SourceMedia,
        video: VideoStream,
        grid: TileGrid,
        size: tuple[int, int],
        folder: Path,
        *,
        keyframes_only: bool,
    ) -> list[Path]:
        def argv(progress_fd: int) -> list[str]:
            return sheets_argv(
                self._binary,
                source,
                media.container,
                video,
                grid=grid,
                size=size,
                keyframes_only=keyframes_only,
                progress_fd=progress_fd,
            )

        self._run(argv, source, folder)
        return sorted(path for path in folder.glob("sheet_*.jpg") if path.stat().st_size)

    def _run(self, argv: Callable[[int], list[str]], source: Path, folder: Path) -> None:
        patience = Patience(stall_seconds=self._settings.stall_seconds, wall_seconds=self._settings.wall_seconds)
        finished = self._tool.run(
            argv,
            read=[source],
            folder=folder,
            limits=self._settings.limits,
            patience=patience,
            on_progress=lambda _: None,
        )
        error = failure_of(finished, folder)
        if error is not None:
            raise error


@contextmanager
def _workshop(target: Path) -> Iterator[Path]:
    """A folder beside the target that is gone afterwards: half a picture never has the target's name."""
    folder = target.with_name(f"{target.name}.making")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _picture_of(media: SourceMedia) -> VideoStream:
    if media.video is None:
        raise CorruptSource("the source has no picture", fix="ask for pictures only where there is a picture track")
    return media.video


def _places(media: SourceMedia, video: VideoStream, position: float) -> Iterator[float]:
    """Seconds to try: the wanted place, later ones, the very first frame. Half a frame early, so that a frame that starts
    exactly there is not missed."""
    half = 0.5 / float(video.average_fps) if video.average_fps else 0.02
    # MP4's time line begins at 0, elsewhere the first time stamp is the beginning
    lead = video.start_seconds - (0.0 if media.container == "mov" else media.start_seconds)
    seen = set()
    for later in LATER:
        share = (min(max(position, 0.0), 1.0) + later) % 1.0
        second = round(max(0.0, lead, share * media.duration_seconds - half), 3)
        if second not in seen:
            seen.add(second)
            yield second
    if 0.0 not in seen:
        yield 0.0


def _tile_size(video: VideoStream, tile_width: int) -> tuple[int, int]:
    """Every tile is `tile_width` wide, whatever the picture: players count on it. Even sides."""
    width, height = video.display_size
    wide = max(2, tile_width - tile_width % 2)
    return wide, max(2, round(wide * height / width / 2) * 2)


def _pixels(media: SourceMedia, video: VideoStream) -> float:
    return media.duration_seconds * float(video.average_fps or 30) * video.width * video.height


def _repeats(media: SourceMedia, video: VideoStream, grid: TileGrid, folder: Path) -> bool:
    """The keyframes are too few for the tiles (slides, screen recordings), and the film is short enough to look at all."""
    keyframes = (folder / SEEN_FILE).stat().st_size // (SEEN[0] * SEEN[1])
    is_sparse = keyframes * SPARSE_SECONDS < media.duration_seconds and 2 * keyframes < grid.tiles
    return is_sparse and _pixels(media, video) <= MOST_PIXELS


def _sheet(path: Path, number: int, grid: TileGrid, size: tuple[int, int]) -> StoryboardSheet:
    tiles = grid.tiles_on(number)
    return StoryboardSheet(
        path=path,
        columns=grid.columns,
        rows=math.ceil(tiles / grid.columns),
        width=size[0],
        height=size[1],
        interval_seconds=grid.interval_seconds,
        tiles=tiles,
    )
