"""What a film is: length, codecs, size on screen and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from src.application.content.late import record_of
from src.application.content.media_files import MediaFiles
from src.application.content.request import ContentFile
from src.application.content.settings import ContentSettings
from src.application.outcome import Done, Outcome, Run
from src.application.ports.clock import Clock
from src.application.ports.content import Contents
from src.application.ports.media import Prober
from src.application.video.steady import Steady
from src.domain.progress import ProgressReport
from src.domain.video.source import SourceMedia


@dataclass(frozen=True, slots=True)
class ReadMetadataHandler:
    """Writes the facts into the film's record; the same film gives the same facts."""

    contents: Contents
    files: MediaFiles
    prober: Prober
    clock: Clock
    settings: ContentSettings

    def handle(self, request: ContentFile, run: Run) -> Outcome:
        """See Handler. Reads the headers, not the film."""
        film = self.files.of(request, self.contents, run)
        steady = Steady(self.clock, self.settings.tries)
        run.report(ProgressReport(percent=10, step="probing", step_index=1, step_total=2))
        media = self.prober.probe(film.reader(steady), film.found.size)
        metadata = metadata_of(media)
        run.report(ProgressReport(percent=90, step="writing", step_index=2, step_total=2))
        with record_of(run):
            self.contents.update_metadata(request.content_id, metadata, file_path=film.path)
        cost = {"bytes_read": media.probed_bytes, "reads": media.probed_reads}
        return Done({"content_id": request.content_id, "metadata": metadata, **cost})


def metadata_of(media: SourceMedia) -> Mapping[str, Any]:
    """The five facts of the seed. `resolution` is as coded, before any rotation; the sound track is the one marked default, else
    the first."""
    sound = next((track for track in media.audio if track.default), media.audio[0] if media.audio else None)
    return {
        "duration_seconds": round(media.duration_seconds, 3),
        "video_codec": media.video.codec if media.video else None,
        "audio_codec": sound.codec if sound else None,
        "resolution": f"{media.video.width}x{media.video.height}" if media.video else None,
        "file_size": media.size,
    }
