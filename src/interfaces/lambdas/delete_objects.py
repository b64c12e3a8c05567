"""AWS Lambda behind the deletion queue: `src.interfaces.lambdas.delete_objects.handler`, trigger SQS with
`ReportBatchItemFailures` (docs/deletion.md).

What it could not do is named in the answer, so SQS keeps it and moves it to its dead-letter queue in the end; the origin's
Lambda answered every error with success, and each of those messages was gone (contracts.md 1.2).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from src.application.catalog import Catalog
from src.application.decoders import Decoders, DecoderSettings
from src.application.decoders.body import read_body
from src.application.decoders.decoded import Requests
from src.application.video.delete_objects import DeleteVideoObjects
from src.application.video.delete_request import ACTION
from src.application.video.job_types import DELETE_OBJECTS_JOB
from src.domain.errors import ConfigError, InvalidMessage, JobError, WorkerError
from src.domain.video.deletion import Removal

if TYPE_CHECKING:
    from src.application.ports.storage import Storage
    from src.infrastructure.observability.logs import Lines

log = logging.getLogger(__name__)

Event = Mapping[str, Any]

RESERVE_SECONDS = 5.0
"""Kept back for the answer: without one, all messages of the batch come back, the deleted ones too."""

STORAGE_SECONDS = 8.0
"""Longest wait for one answer of S3: the worker's patience would outlive the function."""

NO_LIMIT_SECONDS = 900.0
"""The longest a Lambda runs; for a context that does not tell."""


@dataclass(frozen=True, slots=True)
class DeleteObjectsFunction:
    """One container's handler. Decides about each message by itself; nothing raises out of `answer`."""

    decoders: Decoders
    objects: DeleteVideoObjects
    monotonic: Callable[[], float] = time.monotonic

    def answer(self, event: Event, remaining_seconds: float) -> dict[str, Any]:
        """The partial batch response: ids of the messages that SQS has to keep."""
        ends = self.monotonic() + remaining_seconds - RESERVE_SECONDS
        failed: list[str] = []
        for record in event["Records"]:
            if failed and str(record.get("eventSourceARN", "")).endswith(".fifo"):
                # In order or not at all: SQS must not see a later message of the group done before an earlier one.
                failed.append(record["messageId"])
            elif not self._done(record, lambda: ends - self.monotonic()):
                failed.append(record["messageId"])
        return failures(failed)

    def _done(self, record: Mapping[str, Any], time_left: Callable[[], float]) -> bool:
        about = {"delivery": record.get("messageId")}
        try:
            removal = self._removal(str(record["body"]))
            if removal is None:
                log.warning("message.skipped", extra={**about, "then": "removed from the queue: another action"})
                return True
            about |= {"tenant": removal.tenant, "video": removal.video_id}
            replace(self.objects, time_left=time_left).delete(removal)
        except WorkerError as error:
            retryable = isinstance(error, JobError) and error.retryable
            level = logging.WARNING if retryable else logging.ERROR
            extra = {**about, "error_class": error.code, "error": str(error), "retryable": retryable}
            log.log(level, "message.failed", extra=extra)
            return False
        except Exception:
            # One message's surprise must not cost the others their outcome.
            log.exception("message.failed", extra={**about, "error_class": "unexpected"})
            return False
        return True

    def _removal(self, body: str) -> Removal | None:
        """What is to be deleted; None for another action, which this queue may carry (contracts.md 1.2). Raises
        InvalidMessage, InvalidPayload, TenantMismatch."""
        settings = self.decoders.settings
        document = read_body(body.encode(), max_bytes=settings.max_bytes, max_depth=settings.max_depth)
        action = document.get("action")
        if isinstance(action, str) and action and action != ACTION:
            return None
        decoded = self.decoders.decode(body.encode(), {})
        if not isinstance(decoded, Requests) or any(one.type != DELETE_OBJECTS_JOB.name for one in decoded.drafts):
            raise InvalidMessage("the body asks for no deletion", fix=f"send action {ACTION!r}")
        (draft,) = decoded.drafts
        removal: Removal = DELETE_OBJECTS_JOB.parse(draft.tenant, draft.payload)
        return removal


def failures(message_ids: Sequence[str]) -> dict[str, Any]:
    """As SQS reads it."""
    return {"batchItemFailures": [{"itemIdentifier": one} for one in message_ids]}


def make_function(environ: Mapping[str, str]) -> DeleteObjectsFunction:
    """From WORKER_* settings: the storage, and the database where one is named. Raises ConfigError."""
    from src.infrastructure.observability import logs
    from src.interfaces.wiring.adapters import build
    from src.interfaces.wiring.environment import load

    settings = load(environ)
    if "backend" not in settings.storage.model_fields_set:
        # The default is a folder: an empty one in here, where every deletion would succeed and delete nothing.
        raise ConfigError("no storage is chosen", fix="set WORKER_STORAGE__BACKEND=s3 and WORKER_STORAGE__BUCKET")
    # Messages come by the trigger: the settings of a queue of our own need not agree with anything.
    settings = settings.model_copy(update={"queue": settings.queue.model_copy(update={"backend": "sqs"})})
    _log_to_stderr(logs.Lines(logs.Censor(logs.secret_values(environ)), as_json=True), settings.log.level)
    catalog = Catalog([DELETE_OBJECTS_JOB])
    adapters = build(settings, catalog)
    storage: Storage = adapters.storage()
    if settings.storage.backend == "s3":
        storage.read_seconds = STORAGE_SECONDS  # type: ignore[attr-defined]
    # Without a database the keys alone decide; an embedded one would be an empty file of this container's own.
    rows = settings.database.url is not None
    objects = DeleteVideoObjects(storage, adapters.standings() if rows else None, adapters.chunks() if rows else None)
    limits = DecoderSettings(max_bytes=settings.queue.max_body_bytes, max_depth=settings.queue.max_depth)
    return DeleteObjectsFunction(Decoders(catalog, limits), objects)


class _LineFormat(logging.Formatter):
    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self.lines = lines

    def format(self, record: logging.LogRecord) -> str:
        """One event, one line of JSON."""
        return self.lines.line(record)


def _log_to_stderr(lines: Lines, level: str) -> None:
    """Written at once: AWS freezes the process with the answer, and a thread that writes logs with it."""
    to_stderr = logging.StreamHandler()
    to_stderr.setFormatter(_LineFormat(lines))
    root = logging.getLogger()
    root.handlers[:] = [to_stderr]
    root.setLevel(logging.WARNING)
    logging.getLogger("src").setLevel(level)


_made: list[DeleteObjectsFunction] = []
"""This container's, made with its first event."""


def handler(event: Event, context: Any) -> dict[str, Any]:
    """What AWS calls. Raises ValueError only for an event that is not SQS's: a wrong trigger has no messages to keep."""
    records = event.get("Records")
    if not isinstance(records, list) or not all(isinstance(one, dict) and "messageId" in one for one in records):
        raise ValueError("not an event of SQS: connect this function to the deletion queue (docs/deletion.md)")
    if not _made:
        try:
            _made.append(make_function(os.environ))
        except WorkerError as error:
            # Nothing can be deleted with these settings, and nothing may be lost for it.
            log.error("settings.wrong: %s", error)  # noqa: TRY400 - expected here
            return failures([one["messageId"] for one in records])
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return _made[0].answer(event, remaining() / 1000 if remaining else NO_LIMIT_SECONDS)
