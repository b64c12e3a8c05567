"""Uploads in parts that were begun and not finished: their parts cost money, and no listing of objects shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedUpload:
    """One of them. Several may be under way to one key. `begun_at` is the storage's time, in epoch seconds."""

    key: str
    upload_id: str
    begun_at: float


class UnfinishedUploads(Protocol):
    """What storages have that take objects in parts. Keys are as in `Storage`. Raises StorageUnavailable."""

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Every one whose key starts with `prefix`, whoever began it; trouble is raised at the page where it is met."""

    def abort(self, upload: UnfinishedUpload) -> None:
        """Its parts go, and it can't be finished any more. One that was finished or aborted meanwhile is fine: an object that it
        became stays as it is."""
