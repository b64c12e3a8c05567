"""From what a person types (a file, a key, an s3:// address) to an object in the storage."""

from __future__ import annotations

import mimetypes
import os
import uuid
from pathlib import Path

from src.application.engine.waker import reference
from src.application.ports.ledger import Limits
from src.domain.errors import ConfigError, Conflict, NotFound, SourceEmpty
from src.domain.ids import check_tenant, identifier, storage_key
from src.domain.job import Job, JobDraft
from src.interfaces.cli.session import Session

RAW = "tenants/{tenant}/video/raw/cli/{name}"
"""Where a file from the command line goes (contracts.md 1.11; `cli` stands for the session)."""


def put_source(session: Session, source: str, tenant: str) -> str:
    """The storage key of what was named. Raises NotFound, SourceMissing, SourceEmpty, InvalidPayload, TenantMismatch,
    ConfigError, StorageUnavailable."""
    tenant = identifier(tenant, "tenant")
    if source.startswith("s3://"):
        key = storage_key(_key_of_address(session, source))
    elif (path := Path(source).expanduser()).exists():
        return put_file(session, path, tenant)
    elif source.startswith(("/", ".", "~")) or os.sep not in source:
        raise NotFound(f"no file {source[:200]!r}", fix="name a file, a storage key or an s3:// address")
    else:
        key = storage_key(source)
    check_tenant(key, tenant)
    # Asked for now, because a job for a source that is not there can only fail (lesson 16).
    if session.adapters.storage().head(key).size == 0:
        raise SourceEmpty(f"{key} has no bytes", fix="upload it again")
    return key


def put_file(session: Session, path: Path, tenant: str) -> str:
    """Copy a local file into the storage, under a name of our own."""
    if not path.is_file():
        raise NotFound(f"{path} is not a file")
    if path.stat().st_size == 0:
        raise SourceEmpty(f"{path} has no bytes")
    suffix = (
        path.suffix.lower() if path.suffix[1:].isalnum() and path.suffix.isascii() and len(path.suffix) <= 8 else ""
    )
    key = RAW.format(tenant=tenant, name=f"{uuid.uuid4()}{suffix}")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    session.adapters.storage().put_file(key, path, content_type=kind, cache_control="private, no-store")
    return key


def _key_of_address(session: Session, address: str) -> str:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    storage = session.settings.storage
    if storage.backend != "s3" or storage.bucket != bucket:
        here = f"bucket {storage.bucket}" if storage.backend == "s3" else f"a {storage.backend} storage"
        raise ConfigError(
            f"{address[:200]} lies in bucket {bucket[:80]!r}; this worker reads {here}",
            fix="set WORKER_STORAGE__BACKEND=s3 and WORKER_STORAGE__BUCKET, or name a key of this storage",
        )
    prefix = storage.prefix.strip("/")
    return key.removeprefix(f"{prefix}/") if prefix else key


def request_video(session: Session, key: str, tenant: str, video_id: str | None) -> Job:
    """Admit the job, then publish its message: the row is committed before anybody can hear of it (lesson 7). An active
    job for the same video is returned instead of a second one. Raises InvalidPayload, Conflict when a limit is reached,
    DatabaseUnavailable, QueueUnavailable (the job is admitted then, and the waker publishes it)."""
    job_type = session.catalog.get("video")
    payload = {"video_id": identifier(video_id or uuid.uuid4().hex, "video id"), "file_key": key}
    job_type.parse(tenant, payload)
    draft = JobDraft(
        id=str(uuid.uuid4()),
        type=job_type.name,
        tenant=tenant,
        payload=payload,
        subject=job_type.subject(tenant, payload),
        max_attempts=job_type.max_attempts,
    )
    limits = session.settings.limits
    admission = session.ledger.admit(
        draft,
        Limits(
            active_per_tenant=limits.active_per_tenant,
            active_total=limits.active_total,
            total_per_subject=limits.total_per_subject,
        ),
    )
    if admission.job is None:
        raise Conflict(
            f"the job was rejected: {admission.rejected}",
            fix="wait until a job ends, or raise the limit (WORKER_LIMITS__*)",
        )
    if admission.created:
        session.adapters.queue().publish([reference(admission.job)])
        session.ledger.change(admission.job.id, lambda job, now: job.published(now))
    return admission.job
