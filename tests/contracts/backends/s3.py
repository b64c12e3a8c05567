"""A bucket of a real server, under a prefix of the test's own."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TypeVar

from src.application.ports.clock import Clock
from src.application.ports.storage import Storage
from src.infrastructure.s3.storage import S3Storage
from tests.servers.kinds import S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY
from tests.servers.shared import shared

Kind = TypeVar("Kind", bound=S3Storage)


def s3_storage(_clock: Clock, _folder: Path) -> Storage:
    """Storage."""
    return s3_place(S3Storage)


def s3_place(kind: type[Kind]) -> Kind:
    """Small parts, so that a file of some megabytes goes up in several."""
    return kind(
        bucket=S3_BUCKET,
        prefix=f"test/{uuid.uuid4().hex}",
        endpoint_url=shared("s3").url,
        access_key=S3_ACCESS_KEY,
        secret_key=S3_SECRET_KEY,
        part_bytes=5 << 20,
    )
