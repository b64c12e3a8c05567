"""Brings a film to the SSD tier before somebody wants to see it."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from src.application.content.media_files import MediaFiles
from src.application.content.request import ContentFile
from src.application.content.settings import ContentSettings
from src.application.outcome import Done, Outcome, Run, Snooze
from src.application.ports.cache import Cache, CacheBusy, CopySource
from src.application.ports.clock import Clock
from src.application.ports.content import Contents
from src.application.video.steady import Steady
from src.domain.progress import ProgressReport

EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class WarmCacheHandler:
    """Writes `{cache}/hot/{content_id}.mp4`, with the extension of the source. The index names the file when it is whole."""

    contents: Contents
    files: MediaFiles
    cache: Cache
    clock: Clock
    settings: ContentSettings

    def handle(self, request: ContentFile, run: Run) -> Outcome:
        """See Handler. Waits for its turn without counting an attempt while somebody else copies this film."""
        film = self.files.of(request, self.contents, run)
        steady = Steady(self.clock, self.settings.tries)

        def on_share(share: float) -> None:
            run.report(ProgressReport(percent=5 + 94 * share, step="copying", step_index=1, step_total=1))

        source = CopySource(
            read=film.reader(steady),
            size=film.found.size,
            version=film.found.version,
            extension=extension_of(film.path),
        )
        try:
            warmed = self.cache.copy_to_ssd(source, request.content_id, on_share)
        except CacheBusy as busy:
            return Snooze(busy.seconds, busy.message)
        return Done(
            {
                "content_id": request.content_id,
                "path": warmed.path,
                "file_size": warmed.size,
                "was_there": warmed.was_there,
                "resumed_at": warmed.resumed_at,
                "evicted": list(warmed.evicted),
            }
        )


def extension_of(path: str) -> str:
    """`.mp4` of a path that ends so; empty for one that ends in nothing of the kind."""
    extension = posixpath.splitext(path)[1]
    return extension if EXTENSION.fullmatch(extension) else ""
