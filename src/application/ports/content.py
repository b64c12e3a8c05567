"""What the content worker asks of the platform that owns the films' records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from src.domain.errors import NetworkError, Permanent

FIELDS = ("duration_seconds", "video_codec", "audio_codec", "resolution", "file_size")
"""What a `metadata` job writes. Numbers for the first and the last, words for the others; None for what a film has not."""


class ContentMissing(Permanent):
    """There is no content record of this id."""

    code = "content_missing"


class ContentGone(ContentMissing):
    """There was one, and the platform says that it is gone."""

    code = "content_gone"


class ContentRefused(Permanent):
    """The platform answered, and says no: not permitted, or not in this form."""

    code = "content_refused"


class ContentUnavailable(NetworkError):
    """The platform gave no usable answer."""

    code = "content_unavailable"


class Contents(Protocol):
    """Records of films. Raises ContentMissing (ContentGone where the platform knows), ContentRefused (all permanent), and ContentUnavailable or DatabaseUnavailable,
    which may pass."""

    def get(self, content_id: str) -> Mapping[str, Any]:
        """The record, as JSON values, with at least `id` and `file_path`."""

    def get_file_path(self, content_id: str) -> str:
        """Where the film lies: a storage key, or an absolute path under the media root. Raises ContentMissing too when the
        record has no path."""

    def update_metadata(self, content_id: str, metadata: Mapping[str, Any], *, file_path: str | None = None) -> None:
        """Set these fields of the record (names of FIELDS) and leave the others; the same again changes nothing. Where the
        records are the worker's own, one that is missing is made, with `file_path`: a record that is there keeps its own."""

    def page(self, after: str | None, limit: int) -> Sequence[Mapping[str, Any]]:
        """Records as `get` gives them, ordered by id in the platform's own way: those that come after that id, else from the
        beginning. At least one and at most `limit` while there are any left; empty at the end. One that is made or removed
        meanwhile may be in it or not."""
