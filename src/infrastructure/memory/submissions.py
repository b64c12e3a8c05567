"""What was handed to AWS Batch, in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from src.application.ports.batch import REASON_LIMIT, BatchState
from src.application.ports.clock import Clock
from src.application.ports.submissions import ASKED, BatchSubmission, Place
from src.domain.errors import NotFound


@dataclass
class MemorySubmissions:
    """Submissions. Thread-safe."""

    clock: Clock
    _rows: dict[str, BatchSubmission] = field(default_factory=dict, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def begin(self, asked: BatchSubmission) -> bool:
        """False when it is there."""
        with self._lock:
            if asked.batch_id in self._rows:
                return False
            self._save(replace(asked, submitted_at=self.clock.now()))
            return True

    def answered(self, asked: BatchSubmission, batch_id: str) -> BatchSubmission:
        """One row stays."""
        with self._lock:
            old = self._rows.pop(asked.batch_id, None)
            at = self.clock.now() if old is None else old.submitted_at
            return self._rows.setdefault(batch_id, replace(asked, batch_id=batch_id, submitted_at=at))

    def forget(self, batch_id: str) -> bool:
        """True when it was there."""
        with self._lock:
            return batch_id.startswith(ASKED) and self._rows.pop(batch_id, None) is not None

    def add(self, submission: BatchSubmission) -> BatchSubmission:
        """Keep, or the row that is there."""
        with self._lock:
            stamped = replace(submission, submitted_at=self.clock.now())
            return self._rows.setdefault(submission.batch_id, stamped)

    def latest(self, job_id: str) -> BatchSubmission | None:
        """The newest, or None."""
        return self.latest_of([job_id]).get(job_id)

    def of_job(self, job_id: str) -> Sequence[BatchSubmission]:
        """Oldest first."""
        return [row for row in self._sorted() if row.job_id == job_id]

    def latest_of(self, job_ids: Collection[str]) -> Mapping[str, BatchSubmission]:
        """The newest of each."""
        return {row.job_id: row for row in self._sorted() if row.job_id in job_ids}

    def open(self, limit: int, after: Place | None = None) -> Sequence[BatchSubmission]:
        """Oldest first."""
        found = [row for row in self._sorted() if row.counted_at is None]
        return [row for row in found if after is None or (row.submitted_at, row.batch_id) > after][:limit]

    def seen(self, batch_id: str, state: BatchState, reason: str) -> BatchSubmission:
        """What Batch says of it."""
        with self._lock:
            said = replace(self._load(batch_id), state=state, reason=reason[:REASON_LIMIT])
            return self._save(replace(said, missing_times=0, missing_since=None))

    def missing(self, batch_id: str) -> BatchSubmission:
        """Once more."""
        with self._lock:
            old = self._load(batch_id)
            since = self.clock.now() if old.missing_since is None else old.missing_since
            return self._save(replace(old, missing_times=old.missing_times + 1, missing_since=since))

    def count(self, batch_id: str) -> bool:
        """True once."""
        with self._lock:
            old = self._load(batch_id)
            if old.counted_at is not None:
                return False
            self._save(replace(old, counted_at=self.clock.now()))
            return True

    def remove_of(self, job_id: str) -> None:
        """Those of a job whose row goes."""
        with self._lock:
            self._rows = {batch_id: row for batch_id, row in self._rows.items() if row.job_id != job_id}

    def _sorted(self) -> list[BatchSubmission]:
        with self._lock:
            return sorted(self._rows.values(), key=lambda row: (row.submitted_at, row.batch_id))

    def _load(self, batch_id: str) -> BatchSubmission:
        try:
            return self._rows[batch_id]
        except KeyError:
            raise NotFound(f"no batch job {batch_id[:80]!r} was submitted from here") from None

    def _save(self, row: BatchSubmission) -> BatchSubmission:
        self._rows[row.batch_id] = row
        return row
