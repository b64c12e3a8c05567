"""Uploads in parts that nobody finished. Apart from the storage: only recovery's role may look for them."""

from __future__ import annotations

from collections.abc import Iterator

from src.application.ports.uploads import UnfinishedUpload
from src.domain.errors import StorageUnavailable
from src.domain.ids import storage_key
from src.infrastructure.aws.answers import code_of
from src.infrastructure.s3.errors import translated
from src.infrastructure.s3.storage import S3Storage

MARKERS = ("KeyMarker", "UploadIdMarker")
PAGE = 1000
"""Uploads of one listing: the service's limit."""


class S3Uploads(S3Storage):
    """UnfinishedUploads, in the storage's own place."""

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Page by page."""
        if prefix:
            storage_key(prefix.removesuffix("/"), "prefix")
        more: dict[str, str] = {}
        while True:
            with translated("list unfinished uploads below", prefix or "/"):
                page = self._client().list_multipart_uploads(
                    Bucket=self.bucket, Prefix=self._base + prefix, MaxUploads=PAGE, **more
                )
            for found in page.get("Uploads", ()):
                try:
                    yield UnfinishedUpload(
                        key=self._key(found["Key"]),
                        upload_id=str(found["UploadId"]),
                        begun_at=float(found["Initiated"].timestamp()),
                    )
                except KeyError as error:
                    raise StorageUnavailable(
                        f"the list of unfinished uploads was cut: it has no {error.args[0]}"
                    ) from error
            if not page.get("IsTruncated"):
                return
            # What the service names, and nothing else: some sort by ids, and know no marker of keys.
            following = {name: page[f"Next{name}"] for name in MARKERS if page.get(f"Next{name}")}
            if following in (more, {}):
                raise StorageUnavailable("the list of unfinished uploads does not go on where it should")
            more = following

    def abort(self, upload: UnfinishedUpload) -> None:
        """Known or not."""
        name = self._name(upload.key)
        try:
            with translated("abort an upload of", upload.key):
                self._client().abort_multipart_upload(Bucket=self.bucket, Key=name, UploadId=upload.upload_id)
        except StorageUnavailable as error:
            if code_of(error.__cause__) != "NoSuchUpload":
                raise
