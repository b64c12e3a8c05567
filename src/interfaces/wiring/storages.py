"""The bucket from the settings."""

from __future__ import annotations

from src.infrastructure.s3.storage import S3Storage
from src.interfaces.wiring.settings import Settings


def make_s3(settings: Settings) -> S3Storage:
    """Region and address are AWS's unless the storage has its own."""
    access_key, secret_key = settings.storage.access_key, settings.storage.secret_key
    return S3Storage(
        bucket=settings.storage.bucket or "",
        prefix=settings.storage.prefix,
        endpoint_url=settings.storage.endpoint_url or settings.aws.endpoint_url,
        region=settings.storage.region or settings.aws.region,
        access_key=access_key.get_secret_value() if access_key else None,
        secret_key=secret_key.get_secret_value() if secret_key else None,
    )
