"""From what a person types (a file, a key, an s3:// address) to a video job."""

from __future__ import annotations

import errno
import mimetypes
import os
import shlex
import uuid
from pathlib import Path
from typing import NoReturn

import click

from src.application.ports.checkable import Checkable
from src.application.video.request import EncodeVideo
from src.application.video.source_there import ANEW
from src.application.video.submit import Submission
from src.domain.errors import (
    BatchUnavailable,
    ConfigError,
    Conflict,
    DatabaseUnavailable,
    InvalidPayload,
    NotFound,
    SourceEmpty,
    SourceMissing,
    StorageUnavailable,
    WorkerError,
)
from src.domain.ids import check_tenant, identifier, storage_key
from src.domain.job import Job
from src.domain.video.keys import raw_key
from src.infrastructure.observability.redaction import one_line, redacted
from src.interfaces.cli.session import Session
from src.interfaces.wiring.dispatches import make_submitter

FIXES = {
    "tenant_limit": "wait until a job of this tenant ends, or raise WORKER_LIMITS__ACTIVE_PER_TENANT",
    "global_limit": "wait until a job ends, or raise WORKER_LIMITS__ACTIVE_TOTAL",
    "per_video_limit": "this video had all its jobs; raise WORKER_LIMITS__TOTAL_PER_SUBJECT, or use another --video-id",
    "not_found": "check --tenant and the source; an id that is taken can't be used: name another --video-id, or none",
    "not_uploaded": "the source is empty, or the video is finished already: upload again, or use another --video-id",
}
"""{reason of contracts.md 1.8: what the caller can do}."""


def submit_source(session: Session, source: str, tenant: str, video_id: str | None) -> Submission:
    """The submission, with its job, for what was named. Raises NotFound, SourceEmpty, InvalidPayload, TenantMismatch, ConfigError, and what
    `request_video` raises."""
    tenant, video = identifier(tenant, "tenant"), identifier(video_id or uuid.uuid4().hex, "video id")
    if not source:
        raise InvalidPayload("the source has no name", fix="name a file, a storage key or an s3:// address")
    if not source.startswith("s3://") and (path := _local(source)) is not None:
        return submit_file(session, path, tenant, video)
    return request_video(session, _stored(session, source, tenant), tenant, video)


def submit_file(session: Session, path: Path, tenant: str, video_id: str) -> Submission:
    """Copy a file into the storage and ask for its job. The copy goes again when no job takes it, and stays (named in the
    error) when nobody knows. Raises what `put_file` and `request_video` raise."""
    key = put_file(session, path, tenant, video_id)
    job_id = str(uuid.uuid4())
    try:
        submission = request_video(session, key, tenant, video_id, job_id)
    except DatabaseUnavailable as error:
        job = _admitted(session, job_id) or _unknown(error, key, tenant, video_id)
        submission = Submission(job=job, created=True)
    except WorkerError:
        # Mostly before the admission, or its refusal; but a queue may refuse the message of a job that is there.
        if session.jobs.find(job_id) is None:
            if _awaits(session, video_id, key):
                click.echo(
                    f"mediaworker: the film is uploaded; submit it with: {_again(key, tenant, video_id)}", err=True
                )
            else:
                _discard(session, key)
        raise
    if (taken := job_of(submission).payload.get("file_key")) != key:
        _discard(session, key)
        click.echo(
            f"mediaworker: video {video_id} has an active job already, which encodes {taken}; {path.name!r} was not taken",
            err=True,
        )
    return submission


def job_of(submission: Submission) -> Job:
    """The job of what `request_video` answers."""
    if submission.job is None:
        raise AssertionError("unreachable: a submission without a job is an error")
    return submission.job


def _awaits(session: Session, video_id: str, key: str) -> bool:
    """Whether the video's row names this copy, so that it can be submitted from there later on."""
    video = session.adapters.videos().find(video_id)
    return video is not None and video.source_key == key


def _admitted(session: Session, job_id: str) -> Job | None:
    """The job that was admitted although the database did not answer well."""
    try:
        return session.jobs.find(job_id)
    except DatabaseUnavailable:
        return None


def _unknown(error: DatabaseUnavailable, key: str, tenant: str, video_id: str) -> NoReturn:
    """Nobody knows whether there is a job: its source must stay. With the same video id, asking again gives the job
    that is there or makes the one that is not."""
    first = f"{error.fix}; then " if error.fix else ""
    raise DatabaseUnavailable(
        f"{error.message}; it is not known whether the job was accepted, so the copy of the film is kept as {key}",
        fix=f"{first}submit the copy again: {_again(key, tenant, video_id)}",
    ) from error


def _again(key: str, tenant: str, video_id: str) -> str:
    return shlex.join(["mediaworker", "submit", "video", key, "--tenant", tenant, "--video-id", video_id])


def _discard(session: Session, key: str) -> None:
    """Remove a copy that no job takes. That it stays is said; the error that led here matters more."""
    try:
        session.adapters.storage().delete([key])
    except StorageUnavailable as error:
        click.echo(f"mediaworker: the copy {key} could not be removed again: {error.message}", err=True)


def _local(source: str) -> Path | None:
    """The file that was named, if there is one. Raises NotFound for what can only be a path, Conflict when it may not
    be looked at."""
    try:
        path = Path(source).expanduser()
        path.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: ~name of a user who is not here
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM):
            raise Conflict(
                f"{source[:200]!r} can't be looked at: {error.strerror}", fix="give this user the right to read it"
            ) from error
        if source.startswith(("/", ".", "~")):
            raise NotFound(f"no file {source[:200]!r}", fix="check the path, or name a storage key") from error
        return None
    return path


def _stored(session: Session, source: str, tenant: str) -> str:
    """The key of an object that is there."""
    key = storage_key(_key_of_address(session, source) if source.startswith("s3://") else source)
    check_tenant(key, tenant)
    # Asked for now, because a job for a source that is not there can only fail (lesson 16).
    try:
        size = session.adapters.storage().head(key).size
    except SourceMissing as error:
        if isinstance(storage := session.adapters.storage(), Checkable):
            # A storage says "not there" of every object of a bucket that is not there itself.
            storage.check()
        raise NotFound(
            f"no file and no stored object {source[:200]!r}", fix="name a file, a storage key or an s3:// address"
        ) from error
    if size == 0:
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
    if (found := _local(str(path.absolute()))) is None or not found.is_file():
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


def request_video(session: Session, key: str, tenant: str, video_id: str, job_id: str | None = None) -> Submission:
    """The submission with the job of this video: a new one (with `job_id`), or the active one. Raises InvalidPayload, TenantMismatch,
    Conflict with the reason of a rejection, DatabaseUnavailable, StorageUnavailable, BatchRefused, BatchNotTaken. A queue that
    is away costs nothing but time: the job is admitted, the waker publishes it, and that is said."""
    use_case = make_submitter(session.settings, session.adapters, session.catalog)
    request = EncodeVideo(video_id=video_id, tenant=tenant, file_key=key)
    submission = use_case.submit(request, job_id or str(uuid.uuid4()))
    if submission.job is None:
        if submission.error is not None:
            raise submission.error
        reason = submission.rejected or "rejected"
        row = session.video(video_id)
        if reason == "not_found" and row is not None and row.tenant == tenant and row.is_deleted:
            raise Conflict(f"the job was rejected: {reason}: video {video_id} was deleted", fix=ANEW)
        raise Conflict(f"the job was rejected: {reason}", fix=FIXES.get(reason))
    if submission.error is not None:
        _tell_doubt(submission.job, submission.error)
    return submission


def _tell_doubt(job: Job, error: WorkerError) -> None:
    """The job is there, and nobody knows whether anything is on its way to it."""
    if isinstance(error, BatchUnavailable):
        said, then = "a container may be on its way", "scan-stuck submits it again if none came"
    else:
        said = "the job is admitted, but its message did not get into the queue"
        then = "the waker of any running worker publishes it within a minute of the mend"
    click.echo(f"mediaworker: {one_line(redacted(error.message))}; {said}", err=True)
    if error.fix:
        click.echo(f"  fix: {one_line(redacted(error.fix))}", err=True)
    click.echo(f"  then: {then}; `mediaworker status {job.id}`", err=True)
