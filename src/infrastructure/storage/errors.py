"""What an OSError of the storage's file system means."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from src.domain.errors import DiskFull, InvalidPayload, SourceMissing, StorageUnavailable

MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR})
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
FOLDER_OR_OBJECT = frozenset({errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY})


@contextmanager
def reading(key: str) -> Iterator[None]:
    """Translate errors while an object is read. Raises SourceMissing, StorageUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in MISSING or error.errno == errno.ENAMETOOLONG:
            raise SourceMissing(f"no object {key}") from error
        raise unavailable("read", key, error) from error


@contextmanager
def writing(key: str) -> Iterator[None]:
    """Translate errors while an object is written or removed. Raises DiskFull, InvalidPayload, StorageUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(f"no space to store {key}", fix="free space on the storage's disk") from error
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidPayload(
                f"storage key {key[:80]!r} has a part that is too long for this file system"
            ) from error
        if error.errno in FOLDER_OR_OBJECT:
            raise InvalidPayload(f"storage key {key[:80]!r}: a part of it is an object and a folder at once") from error
        raise unavailable("write", key, error) from error


@contextmanager
def preparing(key: str) -> Iterator[None]:
    """Translate errors before the key itself is touched: they say something of the storage, never of the key."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(f"no space to store {key}", fix="free space on the storage's disk") from error
        raise unavailable("prepare to write", key, error) from error


def unavailable(verb: str, key: str, error: OSError) -> StorageUnavailable:
    """Anything that may pass, with what to do where we know."""
    fix = "give this user read and write permission on the storage folder" if error.errno in FORBIDDEN else None
    return StorageUnavailable(f"can't {verb} {key}: {error.strerror or error}", fix=fix)
