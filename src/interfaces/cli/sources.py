"""From what a person types (a file, a key, an s3:// address) to a video job."""

from __future__ import annotations

import mimetypes
import os
import uuid
from pathlib import Path

from src.application.ports.ledger import Limits
from src.application.video.request import EncodeVideo
from src.application.video.submit import SubmitVideo
from src.domain.errors import ConfigError, Conflict, NotFound, SourceEmpty
from src.domain.ids import check_tenant, identifier, storage_key
from src.domain.job import Job
from src.domain.video.keys import raw_key
from src.interfaces.cli.session import Session

FIXES = {
    "tenant_limit": "wait until a job of this tenant ends, or raise WORKER_LIMITS__ACTIVE_PER_TENANT",
    "global_limit": "wait until a job ends, or raise WORKER_LIMITS__ACTIVE_TOTAL",
    "per_video_limit": "this video had all its jobs; raise WORKER_LIMITS__TOTAL_PER_SUBJECT, or use another --video-id",
    "not_uploaded": "the source is empty, or the video is finished already: upload again, or use another --video-id",
}
"""{reason of contracts.md 1.8: what the caller can do}."""


def submit_source(session: Session, source: str, tenant: str, video_id: str | None) -> Job:
    """The job for what was named. Raises as `put_source` and `request_video`."""
    video = identifier(video_id or uuid.uuid4().hex, "video id")
    return request_video(session, put_source(session, source, tenant, video), tenant, video)


def put_source(session: Session, source: str, tenant: str, video_id: str) -> str:
    """The storage key of what was named. Raises NotFound, SourceMissing, SourceEmpty, InvalidPayload, TenantMismatch,
    ConfigError, Conflict, StorageUnavailable."""
    tenant = identifier(tenant, "tenant")
    if source.startswith("s3://"):
        key = storage_key(_key_of_address(session, source))
    elif (path := Path(source).expanduser()).exists():
        return put_file(session, path, tenant, video_id)
    elif source.startswith(("/", ".", "~")) or os.sep not in source:
        raise NotFound(f"no file {source[:200]!r}", fix="name a file, a storage key or an s3:// address")
    else:
        key = storage_key(source)
    check_tenant(key, tenant)
    # Asked for now, because a job for a source that is not there can only fail (lesson 16).
    if session.adapters.storage().head(key).size == 0:
        raise SourceEmpty(f"{key} has no bytes", fix="upload it again")
    return key


def put_file(session: Session, path: Path, tenant: str, video_id: str) -> str:
    """Copy a local file into the storage, where this video's sources lie."""
    check_file(path)
    # A mark of its own: submitting again must not replace the source under a job that reads it.
    key = raw_key(tenant, video_id, f"{uuid.uuid4().hex[:8]}-{path.name[-80:]}")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    session.adapters.storage().put_file(key, path, content_type=kind, cache_control="private, no-store")
    return key


def check_file(path: Path) -> int:
    """Bytes of a local file that can be read. Raises NotFound, Conflict (a directory, no permission), SourceEmpty."""
    if not path.exists():
        raise NotFound(f"no file {str(path)[:200]!r}", fix="check the path")
    if not path.is_file():
        raise Conflict(f"{path} is not a file", fix="name one video file")
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise Conflict(f"{path} can't be read: {error.strerror}", fix="give this user the right to read it") from error
    if size == 0:
        raise SourceEmpty(f"{path} has no bytes", fix="check how it was copied")
    return size


def _key_of_address(session: Session, address: str) -> str:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    storage = session.settings.storage
    if storage.backend != "s3" or storage.bucket != bucket:
        here = f"bucket {storage.bucket}" if storage.backend == "s3" else f"a {storage.backend} storage"
        raise ConfigError(
            f"{address[:200]} lies in bucket {bucket[:80]!r}; this worker reads {here}",
            fix="set WORKER_STORAGE__BACKEND=s3 and WORKER_STORAGE__BUCKET, or name a key of this storage",
        )
    return key.removeprefix(f"{storage.prefix}/") if storage.prefix else key


def request_video(session: Session, key: str, tenant: str, video_id: str) -> Job:
    """The job of this video: a new one, or the active one. Raises InvalidPayload, TenantMismatch, Conflict with the
    reason of a rejection, DatabaseUnavailable, StorageUnavailable. A queue that is away costs nothing but time: the
    job is admitted, and the waker publishes it."""
    limits = session.settings.limits
    use_case = SubmitVideo(
        ledger=session.ledger,
        publisher=session.adapters.queue(),
        videos=session.adapters.videos(),
        storage=session.adapters.storage(),
        job_type=session.catalog.get("video"),
        limits=Limits(
            active_per_tenant=limits.active_per_tenant,
            active_total=limits.active_total,
            total_per_subject=limits.total_per_subject,
        ),
    )
    request = EncodeVideo(video_id=video_id, tenant=tenant, file_key=key)
    submission = use_case.submit(request, str(uuid.uuid4()))
    if submission.job is None:
        reason = submission.rejected or "rejected"
        raise Conflict(f"the job was rejected: {reason}", fix=FIXES.get(reason))
    return submission.job
