"""Objects under keys relative to a root: sources come from here, outputs go here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """`size` in bytes; `version` changes whenever the content does (an ETag, or inode and times on a file system)."""

    key: str
    size: int
    version: str
    modified_at: float


class Storage(Protocol):
    """Keys are checked (domain/ids.py) and can't leave the root. Raises SourceMissing for a key that does not exist
    (permanent), StorageUnavailable for anything that may pass, DiskFull when there is no space."""

    def head(self, key: str) -> StoredObject:
        """Facts about one object."""

    def read(self, key: str, offset: int, length: int, *, version: str | None = None) -> bytes:
        """Exactly the bytes [offset, offset+length) cut at the object's end. With `version`, raises StorageUnavailable
        when the object changed meanwhile."""

    def put_file(self, key: str, path: Path, *, content_type: str, cache_control: str) -> StoredObject:
        """Store a local file. The object appears whole or not at all; an existing one is replaced."""

    def put_bytes(self, key: str, content: bytes, *, content_type: str, cache_control: str) -> StoredObject:
        """Store a small document, under the same promise."""

    def copy(self, source: str, target: str) -> StoredObject:
        """Copy inside the storage without moving the bytes through this machine where that is possible."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object whose key starts with `prefix`, in the storage's own order (S3 sorts by bytes, its directory buckets
        and some compatible services do not)."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove; missing keys and an empty list are fine. Raises ObjectsLeft, a StorageUnavailable, when some were refused:
        all the others are gone."""

    def local_path(self, key: str) -> Path | None:
        """A path that can be read without fetching, where the storage has one; else None."""


@runtime_checkable
class InPieces(Protocol):
    """What some storages can besides: hand over a large range as it comes in, for somebody who writes it to a file."""

    def read_pieces(self, key: str, offset: int, length: int, *, version: str) -> Iterator[bytes]:
        """The bytes of `read`, in pieces of some 100 KiB, in order. Raises what `read` raises, in the middle too; what came
        before then counts for nothing."""


class Presigner(Protocol):
    """What some storages can besides: a temporary address of one object, for somebody who has no credentials. Ask for one
    when it is about to be used and hand it straight on: it is a secret until it expires, and one that waits in a row or in a
    queue has expired when it is needed."""

    def presign_get(self, key: str, *, seconds: int) -> str:
        """An address that gives this object to a GET, and to nothing else, for `seconds` from now (1 to 604,800; signed
        with a role's temporary credentials, it ends with them at the latest). The storage is not asked: look with `head`
        first whether the object is there. Raises InvalidPayload for another number of seconds, StorageUnavailable when
        there are no credentials to sign with."""
