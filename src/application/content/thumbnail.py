"""One picture of a film, for lists and players."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from src.application.content.media_files import MediaFiles
from src.application.content.request import ContentFile
from src.application.content.settings import ContentSettings
from src.application.content.tier import CacheTier
from src.application.outcome import Done, Outcome, Run
from src.application.ports.clock import Clock
from src.application.ports.content import Contents
from src.application.ports.media import View, Viewer
from src.application.video.steady import Steady
from src.domain.content.thumbnail import DARK, places
from src.domain.errors import CorruptSource
from src.domain.progress import ProgressReport


@dataclass(frozen=True, slots=True)
class _Taken:
    second: float
    brightness: float
    path: Path


@dataclass(frozen=True, slots=True)
class MakeThumbnailHandler:
    """Writes `{cache}/thumbnails/{content_id}.jpg`, whole or not at all. The same film gives the same picture, so a second
    attempt, or a late one, replaces it by itself."""

    contents: Contents
    files: MediaFiles
    tier: CacheTier
    viewer: Viewer
    clock: Clock
    settings: ContentSettings

    def handle(self, request: ContentFile, run: Run) -> Outcome:
        """See Handler. Reads what the picture needs, not the film."""
        film = self.files.of(request, self.contents, run)
        steady = Steady(self.clock, self.settings.tries)
        run.report(ProgressReport(percent=10, step="looking", step_index=1, step_total=2))
        with self.viewer.view(film.reader(steady), film.found.size) as view:
            taken = self._best(view, run)
            cost = {"bytes_read": view.bytes_read, "reads": view.reads}
        key = self.tier.thumbnail(request.content_id)
        self.tier.files.put_file(key, taken.path, content_type="image/jpeg", cache_control="no-cache")
        return Done(
            {
                "content_id": request.content_id,
                "path": self.tier.path(key),
                "second": taken.second,
                "brightness": round(taken.brightness, 1),
                "dark": taken.brightness < DARK,
                **cost,
            }
        )

    def _best(self, view: View, run: Run) -> _Taken:
        """The first picture that is not black, or the brightest. Raises CorruptSource when there is none at all."""
        best: _Taken | None = None
        failed: CorruptSource | None = None
        wanted = places(view.media.duration_seconds, self.settings.thumbnail_position)
        for number, second in enumerate(wanted):
            percent = 20 + 70 * number / len(wanted)
            run.report(ProgressReport(percent=percent, step="picture", step_index=2, step_total=2))
            target = run.scratch / f"{number}.jpg"
            try:
                brightness = view.still(
                    second, width=self.settings.thumbnail_width, height=self.settings.thumbnail_height, target=target
                )
            except CorruptSource as error:
                failed = error
                continue
            if brightness is not None and (best is None or brightness > best.brightness):
                best = _Taken(second, brightness, target)
            if best is not None and best.brightness >= DARK:
                break
        if best is None:
            raise failed or CorruptSource("no picture can be taken from it")
        return best
