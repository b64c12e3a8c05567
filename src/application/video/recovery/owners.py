"""Who brings what back: one owner for every state that is not an end (mission.md E3, lesson 13). The docs' table is printed from this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from src.application.video.recovery.abort_uploads import AbortUploads
from src.application.video.recovery.enqueue_uploaded import EnqueueUploaded
from src.application.video.recovery.purge_events import PurgeEvents
from src.application.video.recovery.purge_jobs import PurgeJobs
from src.application.video.recovery.purge_raw import PurgeRaw
from src.application.video.recovery.recover_dead import RecoverDead
from src.application.video.recovery.schedule import INTERVALS
from src.application.video.recovery.stuck_pending import StuckPending
from src.application.video.recovery.stuck_videos import StuckVideos
from src.application.video.recovery.sweep_orphans import SweepOrphans
from src.domain.job import QUEUED_WAKE_SECONDS
from src.domain.stuck import Patience

WAKER = "waker"
ALARM = "alarm"
ABANDONED = "sweep of abandoned attempts"
REDELIVERY = "the queue"
LIFECYCLE = "the bucket's lifecycle rule"


@dataclass(frozen=True, slots=True)
class Owned:
    """One row. `owner` is a recovery job's name, or one of the names above."""

    entity: str
    state: str
    owner: str
    after: str
    """from when on, in words"""
    does: str


def _time(seconds: float) -> str:
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} s"


def _default(kind: type, field: str) -> str:
    return _time(kind.__dataclass_fields__[field].default)  # type: ignore[attr-defined]


PATIENCE = Patience()
QUEUE, BATCH = "job on a queue", "job on AWS Batch"

OWNERS: Sequence[Owned] = (
    Owned(QUEUE, "QUEUED", WAKER, f"at once when nothing was published, else {_time(QUEUED_WAKE_SECONDS)}", "publishes a message"),
    Owned(QUEUE, "RUNNING", WAKER, "the end of its lease", "publishes a message; the claim takes it over"),
    Owned(QUEUE, "RETRY_WAIT", WAKER, "the time of its retry", "publishes a message"),
    Owned(BATCH, "QUEUED", "scan-stuck", f"{_time(PATIENCE.young)} without a submission", "sends a container"),
    Owned(BATCH, "RUNNING", "scan-stuck", f"the end of its lease, when its container has ended; {_time(PATIENCE.silent)} when it lives",
          "takes it back and sends a container; DEAD when its executions are used up"),
    Owned(BATCH, "RETRY_WAIT", "scan-stuck", "the time of its retry", "sends a container"),
    Owned("submission", "open", "reconcile", f"its next run ({_time(INTERVALS['reconcile'])})", "learns how it ended; counts that once"),
    Owned("submission", "SUBMITTING", "reconcile", f"{_time(PATIENCE.young)} without an answer of AWS Batch; at once when it made a batch job",
          "finds that by its name; else the row goes, and `scan-stuck` sends a container"),
    Owned("batch job without a submission", "alive", "reconcile", f"its next run ({_time(INTERVALS['reconcile'])})",
          f"writes it down; terminates it when its job has ended and it waits for {_time(PATIENCE.runnable)} while others start"),
    Owned("video", "PENDING", "stuck-pending",
          f"{_default(StuckPending, 'uploaded_seconds')} with a source, {_default(StuckPending, 'lost_seconds')} without", "UPLOADED, or FAILED"),
    Owned("video", "UPLOADED", "enqueue-uploaded", _default(EnqueueUploaded, "young_seconds"), "submits it (not after a cancel)"),
    Owned("video", "PROCESSING", "stuck-videos", f"{_default(StuckVideos, 'idle_seconds')} without an active job", "UPLOADED, and told"),
    Owned("video", "READY_PARTIAL", "stuck-videos", f"{_default(StuckVideos, 'idle_seconds')} without an active job", "UPLOADED, and told"),
    Owned("dead letter", "not told", ALARM, "at once", "tells an administrator"),
    Owned("event to be told", "not told", ALARM, "at once", "tells an administrator"),
    Owned("event", "told, or not to be told", "purge-events", _default(PurgeEvents, "keep_seconds"), "removes it"),
    Owned("ended job", "without dead letter, unsent event or open submission", "purge-jobs", _default(PurgeJobs, "keep_seconds"),
          "removes its row, with all that hangs on it"),
    Owned("dead job of circumstances", "first generation", "recover-dead",
          f"its next run, up to {_default(RecoverDead, 'age_seconds')}", "reopens it once"),
    Owned("source", "READY video", "purge-raw", _default(PurgeRaw, "ready_seconds"), "removes it"),
    Owned("source", "FAILED video", "purge-raw", _default(PurgeRaw, "failed_seconds"), "removes it"),
    Owned("source", "deleted video", "purge-raw", _default(PurgeRaw, "deleted_seconds"), "removes it: its deletion was never asked for"),
    Owned("attempt's folder", "its job has ended", ABANDONED, "1 min after the end, for a day", "removes it"),
    Owned("attempt's folder", "shown by no video", "sweep-orphans", f"{_default(SweepOrphans, 'age_seconds')} after its newest object",
          "removes it"),
    Owned("multipart upload", "begun", "abort-uploads", _default(AbortUploads, "age_seconds"), "aborts it"),
    Owned("attempt's folder", "of a deleted video", "sweep-orphans", f"{_default(SweepOrphans, 'age_seconds')} after its newest object",
          "removes it: its deletion was never asked for"),
    Owned("message", "taken, not settled", REDELIVERY, "its visibility", "delivers it again; the claim decides"),
    Owned("deletion message", "waiting", REDELIVERY, "its visibility", "delivers it again; a dead letter in the end"),
    Owned("large message's body", "its message never comes", LIFECYCLE, "as it says (docs/publishing.md)", "removes it"),
)  # fmt: skip
"""Every state that is not an end, once."""

HEAD = "| what | in which state | owner | after | what it does |\n| --- | --- | --- | --- | --- |\n"


def documents() -> list[dict[str, str]]:
    """The same for programs, a row each."""
    return [asdict(row) for row in OWNERS]


def markdown() -> str:
    """The table of docs/recovery.md."""
    shown: Mapping[bool, str] = {True: "`{}`", False: "{}"}
    rows = (
        f"| {row.entity} | {row.state} | {shown[row.owner in INTERVALS].format(row.owner)} | {row.after} | {row.does} |"
        for row in OWNERS
    )
    return HEAD + "\n".join(rows) + "\n"
