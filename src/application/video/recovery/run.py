"""One run of a recovery job: what it looked at, did, and left alone, and why; bounded, alone, and able to be called off."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from src.application.ports.lock import Idempotency
from src.domain.errors import (
    Conflict,
    DatabaseUnavailable,
    LeaseLost,
    LockUnavailable,
    NetworkError,
    NotFound,
    WorkerError,
)

log = logging.getLogger(__name__)

LOCK_SECONDS = 120.0
"""A run that vanished keeps others out for so long. Renewed with each item, so that it need not cover the whole run, as the 600 s of
contracts.md 1.4 (`video:reconcile:lock`) had to; two runs at once cost work, not truth."""

KEPT_NOTES = 1000
"""Notes of one kind that a report lists; the counts go on."""


class CalledOff(Exception):
    """This run must not go on: the process is to end, or another run has the lock by now."""


@dataclass(frozen=True, slots=True)
class Note:
    """What happened to one thing. `action` is what was done (in a dry run: what would be), or `skipped` or `error`."""

    id: str
    action: str
    why: str


SKIPPED, ERROR = "skipped", "error"


@dataclass(slots=True)
class Run:
    """Handed to a recovery job's `run`. `limit` bounds what it does something to."""

    name: str
    dry_run: bool = False
    limit: int = 100
    going_on: Callable[[], None] = lambda: None
    """asked before each item. Raises CalledOff"""
    looked: int = 0
    spent: int = 0
    """of the limit: things that something was done to, or whose backend was away. What is left alone, or wrong by itself, takes
    nobody's turn, or so many of them would keep all others from theirs for ever"""
    more: bool = False
    """the limit was reached: there may be more to look at"""
    notes: list[Note] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    refused: str | None = None
    """why this run did not begin, or did not do what it found"""
    away: bool = False
    """a backend did not answer"""
    _touched: bool = False

    @property
    def full(self) -> bool:
        """The limit is reached."""
        return self.spent >= self.limit

    def did(self, what: str, action: str, why: str) -> None:
        """This was done to it (or would be)."""
        self._touched = True
        self._note(Note(what, action, why))
        log.info(
            "recovery.did",
            extra={"recovery": self.name, "what": what, "action": action, "why": why, "dry_run": self.dry_run},
        )

    def skip(self, what: str, why: str) -> None:
        """It was left alone."""
        self._note(Note(what, SKIPPED, why))

    def failed(self, what: str, error: WorkerError) -> None:
        """Something went wrong with it; the others go on."""
        self._note(Note(what, ERROR, f"{error.code}: {error.message}"))
        if isinstance(error, NetworkError):
            self.away = self._touched = True
        log.warning(
            "recovery.failed",
            extra={"recovery": self.name, "what": what, "error_class": error.code, "error": str(error)},
        )

    @contextmanager
    def item(self, what: str) -> Iterator[None]:
        """Around the work on one thing. An error of it never stops the others; a database that is away stops the run, because
        nothing may be decided without it. Raises CalledOff, DatabaseUnavailable."""
        self.going_on()
        self.looked += 1
        self._touched = False
        try:
            yield
        except (CalledOff, DatabaseUnavailable):
            raise
        except (LeaseLost, NotFound, Conflict) as error:
            self.skip(what, f"it went on meanwhile: {error.message}")
        except WorkerError as error:
            self.failed(what, error)
        except Exception as error:
            # A bug, or a row that nobody foresaw: told with its traceback, and the others still get their turn.
            log.exception("recovery.broken", extra={"recovery": self.name, "what": what})
            self._note(Note(what, ERROR, f"unexpected: {type(error).__name__}"))
        finally:
            self.spent += self._touched

    def report(self) -> Mapping[str, Any]:
        """A JSON document; `counts` are fit for metrics."""
        listed: dict[str, list[dict[str, str]]] = {"done": [], SKIPPED: [], "errors": []}
        for note in self.notes:
            kind = {SKIPPED: SKIPPED, ERROR: "errors"}.get(note.action, "done")
            listed[kind].append({"id": note.id, "action": note.action, "why": note.why})
        return {
            "recovery": self.name,
            "dry_run": self.dry_run,
            "looked": self.looked,
            "more": self.more,
            "refused": self.refused,
            "counts": dict(self.counts),
            **listed,
        }

    def _note(self, note: Note) -> None:
        self.counts[note.action] += 1
        if self.counts[note.action] <= KEPT_NOTES:
            self.notes.append(note)


class RecoveryJob(Protocol):
    """One recovery job."""

    @property
    def name(self) -> str:
        """As the command line and the table of owners call it."""

    def run(self, run: Run) -> None:
        """Look, and put right. Raises CalledOff, DatabaseUnavailable, and what makes all of it impossible."""


@dataclass(frozen=True, slots=True)
class SingleFlight:
    """One run of each recovery job at a time, on all machines (lesson 11). The ledger decides all the same: a lock that is lost
    costs work, not truth."""

    lock: Idempotency
    stopping: Callable[[], bool] = lambda: False

    def run(self, job: RecoveryJob, run: Run) -> Run:
        """The same run, done; with `refused` when another one has the lock. Raises LockUnavailable (nothing was begun), and what the
        job raises, CalledOff aside. A dry run changes nothing, so neither the lock: it is in nobody's way, nor anybody in its."""
        if run.dry_run:
            return self._dry(job, run)
        key = f"video:{job.name}:lock"
        token = self.lock.acquire(key, ttl_seconds=LOCK_SECONDS)
        if token is None:
            run.refused = f"another {job.name} is running"
            return run

        def going_on() -> None:
            self._not_stopping()
            if not self.lock.renew(key, token, ttl_seconds=LOCK_SECONDS):
                raise CalledOff("another run has the lock")

        run.going_on = going_on
        try:
            job.run(run)
        except CalledOff as why:
            run.refused = f"called off: {why}"
        finally:
            self._release(key, token)
        return run

    def _dry(self, job: RecoveryJob, run: Run) -> Run:
        run.going_on = self._not_stopping
        try:
            job.run(run)
        except CalledOff as why:
            run.refused = f"called off: {why}"
        return run

    def _not_stopping(self) -> None:
        if self.stopping():
            raise CalledOff("the process is to end")

    def _release(self, key: str, token: str) -> None:
        try:
            self.lock.release(key, token)
        except LockUnavailable as error:
            # It expires; until then the next run says that another one is running.
            log.warning("lock.release_failed", extra={"key": key, "error": str(error), "then": "it expires by itself"})
