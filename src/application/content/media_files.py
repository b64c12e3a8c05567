"""Finds the film that a path means: in the storage, or in a folder of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from src.application.content.late import record_of
from src.application.content.request import ContentFile, check_root, checked_path
from src.application.outcome import Run
from src.application.ports.content import Contents
from src.application.ports.media import ReadRange
from src.application.ports.storage import Storage, StoredObject
from src.application.video.steady import Steady
from src.domain.errors import FileAccessError, InvalidPayload, SourceEmpty, SourceMissing


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One film as it is now. `path` is how the platform calls it."""

    path: str
    storage: Storage
    found: StoredObject

    def reader(self, steady: Steady) -> ReadRange:
        """Reads ranges of exactly this version."""
        # Here, because every worker imports this module at its start, for the wiring's table of ports.
        from src.application.video.download import reader

        return reader(self.storage, self.found, steady)


@dataclass(frozen=True, slots=True)
class MediaFiles:
    """Relative paths are keys of `storage`. Absolute ones lie under `root`, whose files `local` reads; without a root there
    are none."""

    storage: Storage
    local: Storage | None = None
    root: Path | None = None

    def of(self, request: ContentFile, contents: Contents, run: Run) -> MediaFile:
        """The request's film; its record is asked when the request names no path. Raises what `find`, `record_of` and Contents
        raise."""
        path = request.file_path
        if path is None:
            with record_of(run):
                path = contents.get_file_path(request.content_id)
            path = checked_path(path, run.tenant)
        return self.find(path)

    def find(self, path: str) -> MediaFile:
        """Raises InvalidPayload for an absolute path outside the root, SourceMissing, SourceEmpty; FileAccessError for a file
        that is not under the root now, because a network drive comes and goes; what Storage.head raises."""
        if not path.startswith("/"):
            return self._checked(path, self.storage, self.storage.head(path))
        if self.local is None or self.root is None:
            raise InvalidPayload(
                f"file_path {path[:80]!r} is absolute, and this worker has no media root",
                fix="set WORKER_CONTENT__MEDIA_ROOT to the folder, or publish a storage key",
            )
        check_root(path, self.root)
        key = str(Path(path).relative_to(self.root))
        try:
            return self._checked(path, self.local, self.local.head(key))
        except SourceMissing as error:
            raise FileAccessError(f"there is no file {path[:200]}", fix="is the drive mounted?") from error

    @staticmethod
    def _checked(path: str, storage: Storage, found: StoredObject) -> MediaFile:
        if found.size <= 0:
            raise SourceEmpty(f"{path[:200]} has no bytes", fix="upload it again")
        return MediaFile(path, storage, found)
