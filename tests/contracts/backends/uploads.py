"""Storages that take objects in parts, and somebody who begins an upload and does not finish it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from src.application.ports.clock import Clock
from src.application.ports.uploads import UnfinishedUploads
from src.infrastructure.memory.uploads import MemoryUploads
from src.infrastructure.s3.uploads import S3Uploads
from tests.contracts.backends.s3 import s3_place


@dataclass(frozen=True)
class UploadsPlace:
    """`begin(key)` gives the upload's id. `finish` makes an object of it, where there are objects."""

    uploads: UnfinishedUploads
    begin: Callable[[str], str]
    finish: Callable[[str, str], None] | None = None


def memory_uploads(clock: Clock) -> UploadsPlace:
    """The fake."""
    uploads = MemoryUploads(clock)
    return UploadsPlace(uploads, lambda key: uploads.begin(key).upload_id)


def s3_uploads(_clock: Clock) -> UploadsPlace:
    """A real server's."""
    uploads = s3_place(S3Uploads)
    client = uploads._client()

    def named(key: str) -> dict[str, str]:
        return {"Bucket": uploads.bucket, "Key": f"{uploads.prefix}/{key}"}

    def begin(key: str) -> str:
        return str(client.create_multipart_upload(**named(key))["UploadId"])

    def finish(key: str, upload_id: str) -> None:
        part = client.upload_part(**named(key), UploadId=upload_id, PartNumber=1, Body=b"all of it")
        parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(**named(key), UploadId=upload_id, MultipartUpload=parts)

    return UploadsPlace(uploads, begin, finish)


UPLOADS: Mapping[str, Callable[[Clock], UploadsPlace]] = {"memory": memory_uploads, "s3": s3_uploads}
