"""The job ledger: every move of a job is one short transaction on one locked row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, Double, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from src.application.catalog import no_effects
from src.application.ports.ledger import Admission, Beat, Effect, Effects, Limits, Move, TenantFull, letter_of
from src.domain.errors import Conflict, NotFound
from src.domain.job import (
    ACTIVE_STATES,
    Job,
    JobDraft,
    JobState,
    closed_attempt,
    is_dead_letter,
    is_reopened,
    opened_attempt,
)
from src.infrastructure.db.engine import database_now, serialize, upsert
from src.infrastructure.db.queries import SqlJobQueries
from src.infrastructure.db.rows import attempt_row, job_row, letter_row, to_job
from src.infrastructure.db.tables import dead_letters, job_attempts, jobs

Applier = Callable[[Connection, Effect, float], None]
"""(connection, effect, now): makes it true in the caller's transaction."""

ACTIVE = sorted(state.value for state in ACTIVE_STATES)


@dataclass
class SqlLedger(SqlJobQueries):
    """JobLedger and JobQueries. `effects` is the catalog's; `appliers` says how each kind of effect is written."""

    effects: Effects = no_effects
    appliers: Mapping[type[Effect], Applier] = field(default_factory=dict)

    def admit(self, draft: JobDraft, limits: Limits | None = None) -> Admission:
        """Insert, or answer with the row that is there, or reject."""
        # Twice, because on PostgreSQL another transaction may insert the same job between our look and our insert;
        # the second look finds it.
        try:
            return self.database.write(lambda connection: self._admit(connection, draft, limits))
        except IntegrityError:
            pass
        try:
            return self.database.write(lambda connection: self._admit(connection, draft, limits))
        except IntegrityError as error:
            raise Conflict(f"job {draft.id} can't be inserted: {error.orig}") from error

    def change(self, job_id: str, move: Move, *, running_per_tenant: int = 0) -> Job:
        """Apply a move and all that follows from it, in one commit."""
        try:
            return self.database.write(lambda connection: self._change(connection, job_id, move, running_per_tenant))
        except IntegrityError as error:
            raise Conflict(f"another job is active for what job {job_id} is about") from error

    def beat(self, holds: Mapping[str, int], *, lease_seconds: float) -> Mapping[str, Beat]:
        """Renew the leases that are still held, with one statement."""
        if not holds:
            return {}
        until = func.worker_now(type_=Double) + lease_seconds
        renew = (
            update(jobs)
            .where(_held(holds))
            .values(lease_until=until, wake_at=until)
            .returning(jobs.c.id, jobs.c.cancel_requested_at)
        )
        rows = self.database.write(lambda connection: connection.execute(renew).all())
        return _beats(holds, {job_id: cancel is not None for job_id, cancel in rows})

    def watch(self, holds: Mapping[str, int]) -> Mapping[str, Beat]:
        """Which leases are still held, and which jobs are to be cancelled."""
        if not holds:
            return {}
        look = select(jobs.c.id, jobs.c.cancel_requested_at).where(_held(holds))
        rows = self.database.read(lambda connection: connection.execute(look).all())
        return _beats(holds, {job_id: cancel is not None for job_id, cancel in rows})

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

    # ------------------------------------------------------------------ inside one transaction
    def _admit(self, connection: Connection, draft: JobDraft, limits: Limits | None) -> Admission:
        serialize(connection, "mediaworker.admit")
        same = jobs.c.id == draft.id
        if draft.subject is not None:
            active = and_(jobs.c.type == draft.type, jobs.c.subject == draft.subject, jobs.c.state.in_(ACTIVE))
            same = or_(same, active)
        found = [to_job(row) for row in connection.execute(select(jobs).where(same))]
        if found:
            return Admission(next((job for job in found if job.id == draft.id), found[0]), created=False)
        if limits is not None and (reason := _rejection(connection, draft, limits)):
            return Admission(None, created=False, rejected=reason)
        now = database_now(connection)
        job = Job.admitted(draft, now)
        connection.execute(insert(jobs).values(**job_row(job)))
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
        if running_per_tenant and opened_attempt(old, new):
            # After the row's lock, always in this order: claims of one tenant queue up here and can't deadlock.
            serialize(connection, f"mediaworker.tenant.{new.tenant}")
            if _running(connection, new.tenant, other_than=job_id) >= running_per_tenant:
                raise TenantFull(new.tenant)
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(**job_row(new)))
        _record(connection, old, new, now)
        self._apply(connection, old, new, now)
        return new

    def _apply(self, connection: Connection, old: Job | None, new: Job, now: float) -> None:
        for effect in self.effects(old, new):
            self.appliers[type(effect)](connection, effect, now)


def _running(connection: Connection, tenant: str, *, other_than: str) -> int:
    """Live RUNNING jobs of a tenant."""
    live = and_(jobs.c.state == JobState.RUNNING.value, jobs.c.lease_until > database_now(connection))
    others = and_(jobs.c.tenant == tenant, jobs.c.id != other_than)
    return int(connection.execute(select(func.count()).select_from(jobs).where(others, live)).scalar_one())


def _held(holds: Mapping[str, int]) -> ColumnElement[bool]:
    pairs = [and_(jobs.c.id == job_id, jobs.c.fence == fence) for job_id, fence in holds.items()]
    return and_(jobs.c.state == JobState.RUNNING.value, or_(*pairs))


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


def _record(connection: Connection, old: Job, new: Job, now: float) -> None:
    """History and dead letter of one move."""
    if closed := closed_attempt(old, new, now):
        fence, outcome, error = closed
        ended = {"ended_at": now, "outcome": outcome, "error": None if error is None else error.to_json()}
        this = and_(job_attempts.c.job_id == new.id, job_attempts.c.fence == fence)
        connection.execute(update(job_attempts).where(this).values(**ended))
    if opened := opened_attempt(old, new):
        connection.execute(insert(job_attempts).values(**attempt_row(opened)))
    if is_reopened(old, new):
        connection.execute(delete(dead_letters).where(dead_letters.c.job_id == new.id))
    if is_dead_letter(old, new):
        upsert(connection, dead_letters, letter_row(letter_of(new, now)), keys=["id"])
