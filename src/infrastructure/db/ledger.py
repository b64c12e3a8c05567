"""The job ledger: every move of a job is one short transaction on one locked row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import ColumnElement, Connection, Double, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from src.application.catalog import no_effects
from src.application.ports.ledger import (
    Admission,
    Beat,
    Effect,
    Effects,
    Limits,
    Move,
    TenantFull,
    given_back,
    letter_of,
)
from src.domain.errors import Conflict, NotFound
from src.domain.history import closed_attempt, is_dead_letter, is_reopened, starts_attempt
from src.domain.job import Job, JobDraft, JobState
from src.infrastructure.db import batches
from src.infrastructure.db.engine import Answer, database_now, insert_new, serialize, upsert, upsert_all
from src.infrastructure.db.queries import ACTIVE, SqlJobQueries
from src.infrastructure.db.rows import attempt_row, job_row, letter_row, to_job
from src.infrastructure.db.tables import dead_letters, job_attempts, jobs

Applier = Callable[[Connection, Effect, float], None]
"""(connection, effect, now): makes it true in the caller's transaction."""

ADMIT_TRIES = 4
"""Looks at a subject whose active job ends and is followed by another one between our insert and our look."""


MOVE_ONE = update(jobs).where(jobs.c.id == bindparam("moved"))
"""A row of values as it is; executed for many."""


class _Gone(Exception):
    """What kept a row from being inserted is no longer there."""


class _Refused(Exception):
    """What should be committed with an admission can't be."""


@dataclass
class SqlLedger(SqlJobQueries):
    """JobLedger and JobQueries. `effects` is the catalog's; `appliers` says how each kind of effect is written."""

    effects: Effects = no_effects
    appliers: Mapping[type[Effect], Applier] = field(default_factory=dict)

    def admit(self, draft: JobDraft, limits: Limits | None = None) -> Admission:
        """Insert, or answer with the row that is there, or reject."""
        if limits is None and (there := self._there(draft.id)):
            # Most messages that come twice come for a job that is there: reading costs a fraction of trying to write.
            return Admission(there, created=False)
        return self._admitting(draft.id, lambda connection: self._admit(connection, draft, limits))

    def admit_with(self, draft: JobDraft, beside: Callable[[Connection, str], bool]) -> Admission | None:
        """Admit, and write something else in the same commit: `beside` is given the id of the job that there is then. When it
        says no, nothing is written, and None is answered."""

        def work(connection: Connection) -> Admission | None:
            admission = self._admit(connection, draft, None)
            if admission.job is not None and beside(connection, admission.job.id):
                return admission
            raise _Refused

        try:
            return self._admitting(draft.id, work)
        except _Refused:
            return None

    def change(self, job_id: str, move: Move, *, running_per_tenant: int = 0) -> Job:
        """Apply a move and all that follows from it, in one commit."""
        try:
            return self.database.write(lambda connection: self._change(connection, job_id, move, running_per_tenant))
        except IntegrityError as error:
            raise Conflict(f"another job is active for what job {job_id} is about") from error

    def change_many(self, job_ids: Collection[str], move: Move) -> Mapping[str, Job]:
        """Apply a move to each, in one commit for each BATCH of them."""
        rows: dict[str, Job] = {}
        # Everybody who locks many rows does so in this order.
        for start in range(0, len(ids := sorted(job_ids)), batches.BATCH):
            some = ids[start : start + batches.BATCH]
            try:
                rows |= self.database.write(partial(self._change_many, job_ids=some, move=move))
            except IntegrityError:
                # One of them would be a second active job about its subject; it must not keep the others.
                for job_id in some:
                    with suppress(NotFound, Conflict):
                        rows[job_id] = self.change(job_id, move)
        return rows

    def withdraw(self, job_id: str) -> Job | None:
        """Remove a row that nobody has touched."""

        def remove(connection: Connection) -> Job | None:
            row = connection.execute(select(jobs).where(jobs.c.id == job_id).with_for_update()).one_or_none()
            if row is None or not (job := to_job(row)).is_untouched:
                return None if row is None else job
            connection.execute(delete(jobs).where(jobs.c.id == job_id))
            return None

        return self.database.write(remove)

    def begin(self, drafts: Sequence[JobDraft], *, owner: str, lease_seconds: float) -> Mapping[str, Job]:
        """Admit and claim the new ones with one statement."""
        return batches.begin(self.database, drafts, owner, lease_seconds)

    def succeed(self, results: batches.Results) -> Collection[str]:
        """Write the successes whose fence holds with one statement."""
        return batches.succeed(self.database, results)

    def hand_back(self, holds: Mapping[str, int]) -> Collection[str]:
        """Give those back whose fence holds, in one commit."""
        return given_back(self, holds)

    def beat(self, holds: Mapping[str, int], *, lease_seconds: float) -> Mapping[str, Beat]:
        """Renew the leases that are still held, in one commit."""
        if not holds:
            return {}
        until = func.worker_now(type_=Double) + lease_seconds
        renew = update(jobs).values(lease_until=until, wake_at=until).returning(jobs.c.id, jobs.c.cancel_requested_at)
        found = self.database.write(
            lambda connection: [connection.execute(renew.where(some)).all() for some in _held(holds)]
        )
        return _beats(holds, {job_id: cancel is not None for rows in found for job_id, cancel in rows})

    def watch(self, holds: Mapping[str, int]) -> Mapping[str, Beat]:
        """Which leases are still held, and which jobs are to be cancelled."""
        if not holds:
            return {}
        look = select(jobs.c.id, jobs.c.cancel_requested_at)
        found = self.database.read(
            lambda connection: [connection.execute(look.where(some)).all() for some in _held(holds)]
        )
        return _beats(holds, {job_id: cancel is not None for rows in found for job_id, cancel in rows})

    def to_wake(self, limit: int, types: Collection[str] | None = None) -> Sequence[Job]:
        """Active rows whose time has come."""

        def due(connection: Connection) -> list[Job]:
            query = (
                select(jobs)
                .where(jobs.c.wake_at <= database_now(connection), jobs.c.state.in_(ACTIVE))
                .order_by(jobs.c.wake_at, jobs.c.id)
                .limit(limit)
            )
            if types is not None:
                query = query.where(jobs.c.type.in_(sorted(types)))
            return [to_job(row) for row in connection.execute(query)]

        return self.database.read(due)

    def _there(self, job_id: str) -> Job | None:
        row = self.database.read(
            lambda connection: connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
        )
        return None if row is None else to_job(row)

    def _admitting(self, job_id: str, work: Callable[[Connection], Answer]) -> Answer:
        for _ in range(ADMIT_TRIES):
            try:
                return self.database.write(work)
            except IntegrityError as error:
                # An effect met a row that another transaction was inserting; the next look finds it.
                last: Exception = error
            except _Gone as error:
                last = error
        raise Conflict(f"job {job_id} can't be inserted: {last}") from last

    # ------------------------------------------------------------------ inside one transaction
    def _admit(self, connection: Connection, draft: JobDraft, limits: Limits | None) -> Admission:
        if limits is not None and limits != Limits():
            # Counting and inserting must not overlap with another admission that the same limits count.
            for name in _counted_together(draft, limits):
                serialize(connection, name)
            if found := _existing(connection, draft):
                return Admission(found, created=False)
            if reason := _rejection(connection, draft, limits):
                return Admission(None, created=False, rejected=reason)
        now = database_now(connection)
        job = Job.admitted(draft, now)
        # The unique indexes decide between two admissions of one job; the later one waits for the earlier one's commit.
        if not insert_new(connection, jobs, job_row(job), returning="id"):
            if found := _existing(connection, draft):
                return Admission(found, created=False)
            raise _Gone(f"the job that was active for {draft.subject} has just ended")
        self._apply(connection, None, job, now)
        return Admission(job, created=True)

    def _change(self, connection: Connection, job_id: str, move: Move, running_per_tenant: int) -> Job:
        row = connection.execute(select(jobs).where(jobs.c.id == job_id).with_for_update()).one_or_none()
        if row is None:
            raise NotFound(f"no job {job_id}")
        old, now = to_job(row), database_now(connection)
        new = move(old, now)
        if new is old:
            return old
        if running_per_tenant and starts_attempt(old, new):
            # After the row's lock, always in this order: claims of one tenant queue up here and can't deadlock.
            serialize(connection, f"mediaworker.tenant.{new.tenant}")
            if _running(connection, new.tenant, other_than=job_id) >= running_per_tenant:
                raise TenantFull(new.tenant)
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(**job_row(new)))
        _record(connection, [(old, new)], now)
        self._apply(connection, old, new, now)
        return new

    def _change_many(self, connection: Connection, *, job_ids: Sequence[str], move: Move) -> dict[str, Job]:
        there = select(jobs).where(jobs.c.id.in_(job_ids)).order_by(jobs.c.id).with_for_update(skip_locked=True)
        rows, moved, now = dict[str, Job](), list[tuple[Job, Job]](), database_now(connection)
        for old in map(to_job, connection.execute(there).all()):
            rows[old.id] = new = move(old, now)
            if new is not old:
                moved.append((old, new))
        if moved:
            connection.execute(MOVE_ONE, [{"moved": new.id, **job_row(new)} for _, new in moved])
            _record(connection, moved, now)
            for old, new in moved:
                self._apply(connection, old, new, now)
        return rows

    def _apply(self, connection: Connection, old: Job | None, new: Job, now: float) -> None:
        for effect in self.effects(old, new):
            self.appliers[type(effect)](connection, effect, now)


def _existing(connection: Connection, draft: JobDraft) -> Job | None:
    """The job with this id, or else the active one about the same subject."""
    same = jobs.c.id == draft.id
    if draft.subject is not None:
        active = and_(jobs.c.type == draft.type, jobs.c.subject == draft.subject, jobs.c.state.in_(ACTIVE))
        same = or_(same, active)
    found = [to_job(row) for row in connection.execute(select(jobs).where(same))]
    return next((job for job in found if job.id == draft.id), found[0] if found else None)


def _counted_together(draft: JobDraft, limits: Limits) -> Sequence[str]:
    """Locks that the limits in use need, widest first and so always in the same order."""
    base = f"mediaworker.admit.{draft.type}"
    if limits.active_total:
        # Every other admission of the type that counts waits here, so that the narrower ones are not needed.
        return [base]
    names = [f"{base}.tenant.{draft.tenant}"] if limits.active_per_tenant else []
    return [*names, f"{base}.subject.{draft.subject}"] if limits.total_per_subject and draft.subject else names


def _running(connection: Connection, tenant: str, *, other_than: str) -> int:
    """Live RUNNING jobs of a tenant."""
    live = and_(jobs.c.state == JobState.RUNNING.value, jobs.c.lease_until > database_now(connection))
    others = and_(jobs.c.tenant == tenant, jobs.c.id != other_than)
    return int(connection.execute(select(func.count()).select_from(jobs).where(others, live)).scalar_one())


def _held(holds: Mapping[str, int]) -> Sequence[ColumnElement[bool]]:
    """By some at a time: SQLite refuses endless lists, and a worker may hold more short jobs than that. A list for each fence,
    and most have one: an alternative for each job would take longer to write down than to look up."""
    by_fence: dict[int, list[str]] = {}
    for job_id, fence in holds.items():
        by_fence.setdefault(fence, []).append(job_id)
    return [
        and_(
            jobs.c.state == JobState.RUNNING.value,
            jobs.c.fence == fence,
            jobs.c.id.in_(ids[start : start + batches.BATCH]),
        )
        for fence, ids in by_fence.items()
        for start in range(0, len(ids), batches.BATCH)
    ]


def _beats(holds: Mapping[str, int], held: Mapping[str, bool]) -> Mapping[str, Beat]:
    return {job_id: Beat(job_id in held, held.get(job_id, False)) for job_id in holds}


def _rejection(connection: Connection, draft: JobDraft, limits: Limits) -> str | None:
    def count(*conditions: ColumnElement[bool]) -> int:
        query = select(func.count()).select_from(jobs).where(jobs.c.type == draft.type, *conditions)
        return int(connection.execute(query).scalar_one())

    active = jobs.c.state.in_(ACTIVE)
    if limits.active_per_tenant and count(active, jobs.c.tenant == draft.tenant) >= limits.active_per_tenant:
        return "tenant_limit"
    if limits.active_total and count(active) >= limits.active_total:
        return "global_limit"
    if limits.total_per_subject and draft.subject is not None:
        return "per_video_limit" if count(jobs.c.subject == draft.subject) >= limits.total_per_subject else None
    return None


def _record(connection: Connection, moved: Sequence[tuple[Job, Job]], now: float) -> None:
    """History and dead letters of moves."""
    if closed := [attempt for old, new in moved if (attempt := closed_attempt(old, new, now)) is not None]:
        # A version before this one wrote the row when the attempt began.
        ended = ("ended_at", "outcome", "error")
        upsert_all(connection, job_attempts, list(map(attempt_row, closed)), keys=["job_id", "fence"], update=ended)
    for old, new in moved:
        if is_reopened(old, new):
            jobs_own = (dead_letters.c.job_id == new.id) & dead_letters.c.queue.is_(None)
            connection.execute(delete(dead_letters).where(jobs_own))
        if is_dead_letter(old, new):
            upsert(connection, dead_letters, letter_row(letter_of(new, now)), keys=["id"])
