"""The whole error tree. The class of an error decides whether a retry can help and how it is paced.

WorkerError
├── ConfigError                 settings or environment are wrong: exit 4 before the first receive
│   └── BatchRefused -> BatchDenied     AWS Batch said no, and will until queue, definition or role are mended
├── NotFound, Conflict          asked for by an operator or a caller, answered at once
├── LeaseLost                   somebody else owns the job now: stop, publish nothing
├── Cancelled                   the job's owner asked for it
├── Interrupted                 the worker stops the attempt: drain, stall, lease lost
└── JobError                    ends an attempt
    ├── Permanent               the same input fails again: FAILED after one attempt
    │   └── InvalidMessage, UnknownJobType, InvalidPayload, TenantMismatch, SourceMissing, SourceEmpty,
    │       UnsupportedFormat, CorruptSource, TruncatedSource, LimitsExceeded, CrashLoop, JobNotFound
    └── Retryable               RETRY_WAIT, paced by `policy` (domain/retry.py), DEAD when the policy is used up
        ├── FileAccessError, DiskFull
        ├── NetworkError -> StorageUnavailable, DatabaseUnavailable, QueueUnavailable, LockUnavailable,
        │                   BatchUnavailable -> BatchNotTaken; StorageUnavailable -> ObjectsLeft
        ├── FfmpegFailed -> OutputInvalid, DecoderCrash
        ├── Stalled, ResourceExceeded, Crashed, WorkerLost -> ContainerLost, Terminated
        ├── VideoBusy, OutOfTime
        └── UnexpectedError     any exception that is not in this tree
"""

from __future__ import annotations

import traceback as tracebacks
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

MESSAGE_LIMIT = 2000
"""Characters kept of an error message, as the origin's columns do (contracts.md 1.5)."""

TRACEBACK_LIMIT = 16_000
"""Characters kept of a traceback; the tail is kept, because the cause stands there."""


class WorkerError(Exception):
    """Root of everything this product raises on purpose. `fix` says what the reader can do about it."""

    code: ClassVar[str] = "worker_error"

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} ({self.fix})" if self.fix else self.message


class ConfigError(WorkerError):
    """Settings, permissions or tools are missing or contradict each other. Nothing has been received yet."""

    code = "config"


class BatchRefused(ConfigError):
    """AWS Batch refused a call, and refuses the next one too: unknown or disabled queue, unknown job definition, a request
    that it does not take. Nothing was done. No job is to blame."""

    code = "batch_refused"


class BatchDenied(BatchRefused):
    """The role may not make this call. It says nothing about any job: never read it as "there is none" (lesson 11)."""

    code = "batch_denied"


class NotFound(WorkerError):
    """The thing named does not exist."""

    code = "not_found"


class Conflict(WorkerError):
    """The thing exists but its state does not allow what was asked."""

    code = "conflict"


class LeaseLost(WorkerError):
    """A higher fence exists, or the job left RUNNING: this attempt may write nothing more."""

    code = "lease_lost"


class Cancelled(WorkerError):
    """The job was cancelled while it ran."""

    code = "cancelled"


class Interrupted(WorkerError):
    """The worker stops this attempt for its own reasons (drain, stall, lease lost); another attempt will follow, so what
    was published of it is worth keeping for a resume."""

    code = "interrupted"


class JobError(WorkerError):
    """Ends an attempt. Subclasses say whether another attempt can help."""

    code = "job_error"
    retryable: ClassVar[bool] = False
    policy: ClassVar[str] = "none"


class Permanent(JobError):
    """The same input would fail again in the same way."""

    code = "permanent"


class EventRefused(Permanent):
    """The other side will never take this event."""

    code = "event_refused"


class InvalidMessage(Permanent):
    """The body is not a message that any decoder understands, or breaks a limit of size, depth or shape."""

    code = "invalid_message"


class UnknownJobType(Permanent):
    """No job type of that name is registered."""

    code = "unknown_job_type"


class InvalidPayload(Permanent):
    """The message is well formed but its payload breaks the job type's rules."""

    code = "invalid_payload"


class JobNotFound(Permanent):
    """A message names a job that the ledger does not know, and kept doing so past the waiting time for a late commit."""

    code = "job_not_found"


class TenantMismatch(Permanent):
    """Message, row and storage key do not agree about whose job this is."""

    code = "tenant_mismatch"


class SourceMissing(Permanent):
    """The source object does not exist (any more)."""

    code = "source_missing"


class SourceEmpty(Permanent):
    """The source object has no bytes."""

    code = "source_empty"


class UnsupportedFormat(Permanent):
    """Not a media container on the allow list, or nothing in it that can be shown or heard."""

    code = "unsupported_format"


class CorruptSource(Permanent):
    """The container opens, but its streams can't be decoded."""

    code = "corrupt_source"


class TruncatedSource(Permanent):
    """The header declares more than the file holds: an upload that was cut."""

    code = "truncated_source"


class LimitsExceeded(Permanent):
    """Pixels, streams, duration or bytes above what the settings allow."""

    code = "limits_exceeded"


class CrashLoop(Permanent):
    """The job killed its process too often: quarantined with its history."""

    code = "crash_loop"


class Retryable(JobError):
    """Another attempt may succeed."""

    code = "retryable"
    retryable = True
    policy = "default"


class FileAccessError(Retryable):
    """A local file could not be opened, read or written."""

    code = "file_access"
    policy = "file_access"


class DiskFull(FileAccessError):
    """No space for scratch or output."""

    code = "disk_full"


class NetworkError(Retryable):
    """A remote system did not answer as it should."""

    code = "network"
    policy = "network"


class StorageUnavailable(NetworkError):
    """Object storage can't be read or written right now."""

    code = "storage_unavailable"


class ObjectsLeft(StorageUnavailable):
    """The storage answered, and refused to remove some of the objects. `left` are their keys; the others are gone."""

    code = "objects_left"

    def __init__(self, message: str, *, left: Sequence[str], fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.left = tuple(left)


class DatabaseUnavailable(NetworkError):
    """The database can't be reached, is locked, or lost the reply of a commit (whose fate is then unknown)."""

    code = "database_unavailable"


class QueueUnavailable(NetworkError):
    """The queue can't be reached."""

    code = "queue_unavailable"


class LockUnavailable(NetworkError):
    """The lock's server can't be reached."""

    code = "lock_unavailable"


class BatchUnavailable(NetworkError):
    """AWS Batch gave no usable answer: unreachable, throttled, broken. A submission may have been taken all the same."""

    code = "batch_unavailable"


class BatchNotTaken(BatchUnavailable):
    """AWS Batch did certainly nothing: it was throttled, never reached, or never asked for want of credentials."""

    code = "batch_not_taken"


class FfmpegFailed(Retryable):
    """An ffmpeg process failed for a reason that is not the input's."""

    code = "ffmpeg"
    policy = "ffmpeg"


class OutputInvalid(FfmpegFailed):
    """ffmpeg said success, but the verify step found the output incomplete (reliability.md 0.1)."""

    code = "output_invalid"


class DecoderCrash(FfmpegFailed):
    """ffmpeg or the prober died of a signal on this input."""

    code = "decoder_crash"
    policy = "crash"


class Stalled(Retryable):
    """No progress for the stall limit; the process group was killed."""

    code = "stalled"
    policy = "stalled"


class ResourceExceeded(Retryable):
    """A limit of memory, CPU time or file size ended a process."""

    code = "resource_exceeded"
    policy = "resource"


class Crashed(Retryable):
    """The process that ran the job died under it."""

    code = "crash"
    policy = "crash"


class WorkerLost(Retryable):
    """The worker vanished during the attempt and its lease ran out."""

    code = "worker_lost"
    policy = "worker_lost"


class VideoBusy(Retryable):
    """Somebody is working on the video: what was asked for has to wait until that ends. `seconds`: when to look again."""

    code = "video_busy"

    def __init__(self, message: str, *, seconds: float, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.seconds = seconds


class OutOfTime(Retryable):
    """The time that this process was given does not suffice for the rest. What was done stays done."""

    code = "out_of_time"


class ContainerLost(WorkerLost):
    """A container that was sent for the job ended before it began: no image, no settings, no host."""

    code = "container_lost"


class Terminated(Retryable):
    """The container that ran the job was told to end. No attempt is counted for it."""

    code = "terminated"


class UnexpectedError(Retryable):
    """An exception that nobody foresaw; kept with its traceback."""

    code = "unexpected"


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """An error as it is stored and sent between processes. `code` is the error's class, `policy` its pacing."""

    code: str
    message: str
    retryable: bool
    policy: str = "none"
    traceback: str = field(default="", repr=False)

    @classmethod
    def of(cls, error: BaseException, redact: Callable[[str], str] = str) -> ErrorReport:
        """Describe any exception; one from outside the tree becomes `unexpected`. `redact` takes secrets out before the
        texts are cut (half a secret would not be known as one)."""
        text = redact("".join(tracebacks.format_exception(error)))[-TRACEBACK_LIMIT:]
        said = redact(str(error))[:MESSAGE_LIMIT]
        if isinstance(error, JobError):
            return cls(error.code, said, error.retryable, error.policy, text)
        if isinstance(error, ConfigError):
            # This worker is set up wrongly; another one, or this one mended, can do the job.
            return cls(error.code, said, True, UnexpectedError.policy, text)
        if isinstance(error, WorkerError):
            return cls(error.code, said, False, "none", text)
        message = f"{type(error).__name__}: {said}"[:MESSAGE_LIMIT]
        return cls(UnexpectedError.code, message, True, UnexpectedError.policy, text)

    def to_json(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "class": self.code,
            "message": self.message,
            "retryable": self.retryable,
            "policy": self.policy,
            "traceback": self.traceback,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ErrorReport:
        """Read what `to_json` wrote."""
        return cls(
            str(document["class"]),
            str(document["message"]),
            bool(document["retryable"]),
            str(document.get("policy", "none")),
            str(document.get("traceback", "")),
        )
