"""The bucket from the settings."""

from __future__ import annotations

from typing import TypeVar

from src.infrastructure.s3.storage import S3Storage
from src.infrastructure.s3.uploads import S3Uploads
from src.interfaces.wiring.settings import Settings

Kind = TypeVar("Kind", bound=S3Storage)


def make_s3(settings: Settings) -> S3Storage:
    """Region and address are AWS's unless the storage has its own."""
    return _made(S3Storage, settings)


def make_s3_uploads(settings: Settings) -> S3Uploads:
    """The same place."""
    return _made(S3Uploads, settings)


def _made(kind: type[Kind], settings: Settings) -> Kind:
    access_key, secret_key = settings.storage.access_key, settings.storage.secret_key
    return kind(
        bucket=settings.storage.bucket or "",
        prefix=settings.storage.prefix,
        endpoint_url=settings.storage.endpoint_url or settings.aws.endpoint_url,
        region=settings.storage.region or settings.aws.region,
        access_key=access_key.get_secret_value() if access_key else None,
        secret_key=secret_key.get_secret_value() if secret_key else None,
    )
