"""Many new jobs, or many successes, with one statement: what short jobs need, where a transaction for each would cost more
than the work. The rows are those of domain/job.py (`Job.begun`, `Job.succeed`); the contract suite compares them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, and_, or_, select

from src.domain.job import ACTIVE_STATES, Job, JobDraft, JobState
from src.infrastructure.db.columns import END, column, columns_of
from src.infrastructure.db.engine import Database, database_now
from src.infrastructure.db.rows import storable
from src.infrastructure.db.tables import jobs

Results = Mapping[str, tuple[int, Mapping[str, Any]]]

ACTIVE = sorted(state.value for state in ACTIVE_STATES)
BATCH = 200
"""Values per IN list; far below every database's limit of parameters."""

COLUMNS = (
    "id, type, tenant, subject, payload, max_attempts, priority, trace, state, generation, fence, attempts, crashes, "
    "error_counts, lease_owner, lease_until, due_at, wake_at, created_at, started_at"
)

DRAFTS = f"""
    {columns_of("ids", "types", "tenants", "subjects", "payloads")}, {columns_of("most", "priorities", cast="int")},
    {columns_of("traces")}, %(owner)s, %(lease)s"""

BEGUN = "SELECT array_to_string(begun, E'\\x1f'), moment FROM"
"""Hundreds of ids in one text, because the driver reads row by row."""

BEGIN_ON_SERVER = f"{BEGUN} worker_begin({DRAFTS}, {columns_of('places')})"

FINISH_ON_SERVER = f"SELECT worker_finish({columns_of('ids')}, %(fence)s, {columns_of('results')})"
FINISH_ALIKE_ON_SERVER = f"SELECT worker_finish({columns_of('ids')}, %(fence)s, ARRAY[%(result)s::text])"

BEGIN_IN_FILE = f"""
INSERT INTO jobs ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'RUNNING', 1, 1, 1, 0, '{{}}', ?, ?, ?, ?, ?, ?)
"""  # noqa: S608 - constants

SUCCEED_IN_FILE = """
UPDATE jobs SET state = 'SUCCEEDED', lease_until = NULL, wake_at = NULL, finished_at = ?, result = ?, error = NULL
WHERE id = ? AND fence = ? AND state = 'RUNNING'
"""


def begin(database: Database, drafts: Sequence[JobDraft], owner: str, lease_seconds: float) -> Mapping[str, Job]:
    """Insert the new ones as RUNNING."""
    if not drafts:
        return {}
    insert = _begin_in_file if database.file is not None else _begin_on_server
    times = database.single(lambda connection: insert(connection, drafts, owner, lease_seconds))
    return {
        draft.id: Job.begun(draft, times[draft.id], owner=owner, lease_seconds=lease_seconds)
        for draft in drafts
        if draft.id in times
    }


def succeed(database: Database, results: Results) -> Collection[str]:
    """Write the successes whose fence holds."""
    if not results:
        return ()
    if database.file is None:
        return _succeed_on_server(database, results)
    return _confirmed(database, results, database.single(lambda connection: _succeed_in_file(connection, results)))


# ---------------------------------------------------------------------- a server
def _begin_on_server(
    connection: Connection, drafts: Sequence[JobDraft], owner: str, lease_seconds: float
) -> Mapping[str, float]:
    return begin_on_server(connection, drafts, [None] * len(drafts), owner, lease_seconds)


def begin_on_server(
    connection: Connection, drafts: Sequence[JobDraft], places: Sequence[str | None], owner: str, lease_seconds: float
) -> Mapping[str, float]:
    """{job id: when it began} of those that were new; their messages, which lie at `places`, are gone."""
    given = beginnings(drafts, owner, lease_seconds) | {"places": column(places)}
    return begun_of(connection.exec_driver_sql(BEGIN_ON_SERVER, given).one(), drafts)


def begun_of(row: Any, drafts: Sequence[JobDraft]) -> Mapping[str, float]:
    """{job id: when it began} of the row that BEGUN makes: no ids stand for all."""
    begun, now = row
    if begun is None:
        return dict.fromkeys([draft.id for draft in drafts], now)
    return dict.fromkeys(begun.split(END), now) if begun else {}


def beginnings(drafts: Sequence[JobDraft], owner: str, lease_seconds: float) -> dict[str, object]:
    """The parameters of BEGIN_ON_SERVER."""
    return {
        "owner": owner,
        "lease": float(lease_seconds),
        "count": len(drafts),
        "ids": column([draft.id for draft in drafts]),
        "types": column([draft.type for draft in drafts]),
        "tenants": column([draft.tenant for draft in drafts]),
        "subjects": column([draft.subject for draft in drafts]),
        "payloads": column([_text(draft.payload) for draft in drafts]),
        "most": column([str(draft.max_attempts) for draft in drafts]),
        "priorities": column([str(draft.priority) for draft in drafts]),
        "traces": column([storable(draft.trace) for draft in drafts]),
    }


def _succeed_on_server(database: Database, results: Results) -> Collection[str]:
    """A statement for each fence: all but a few batches have one."""
    written: set[str] = set()
    for fence in {fence for fence, _ in results.values()}:
        # In the order of their bytes, which is that of their characters: the database looks places up in it.
        some = {job_id: results[job_id] for job_id in sorted(results) if results[job_id][0] == fence}
        written.update(_confirmed(database, some, database.single(partial(_finish, fence=fence, some=some))))
    return written


def _finish(connection: Connection, fence: int, some: Results) -> int:
    texts = [_text(result) if result else "{}" for _, result in some.values()]
    given = {"ids": column(list(some)), "count": len(some), "fence": fence}
    if texts.count(texts[0]) == len(texts):
        met = connection.exec_driver_sql(FINISH_ALIKE_ON_SERVER, given | {"result": texts[0]})
    else:
        met = connection.exec_driver_sql(FINISH_ON_SERVER, given | {"results": column(texts)})
    return int(met.scalar_one())


# ---------------------------------------------------------------------- an embedded file, whose writers are alone
def _begin_in_file(
    connection: Connection, drafts: Sequence[JobDraft], owner: str, lease_seconds: float
) -> dict[str, float]:
    now, until = (at := database_now(connection)), at + lease_seconds
    taken = _taken(connection, drafts)
    rows, times = [], dict[str, float]()
    for draft in drafts:
        about = draft.type, draft.subject
        if draft.id in taken or about in taken:
            continue
        if draft.subject is not None:
            taken.add(about)
        told = draft.id, draft.type, draft.tenant, draft.subject, _text(draft.payload)
        wanted = draft.max_attempts, draft.priority, storable(draft.trace)
        rows.append((*told, *wanted, owner, until, now, until, now, now))
        times[draft.id] = now
    if rows:
        connection.exec_driver_sql(BEGIN_IN_FILE, rows)
    return times


def _taken(connection: Connection, drafts: Sequence[JobDraft]) -> set[str | tuple[str, str | None]]:
    """Ids that have a row, and (type, subject) of which a job is active."""
    taken: set[str | tuple[str, str | None]] = set()
    for start in range(0, len(drafts), BATCH):
        some = drafts[start : start + BATCH]
        taken.update(connection.scalars(select(jobs.c.id).where(jobs.c.id.in_([draft.id for draft in some]))))
        subjects = {draft.subject for draft in some if draft.subject is not None}
        if subjects:
            active = and_(jobs.c.subject.in_(subjects), jobs.c.state.in_(ACTIVE))
            taken.update((row.type, row.subject) for row in connection.execute(select(jobs).where(active)))
    return taken


def _succeed_in_file(connection: Connection, results: Results) -> int:
    now = database_now(connection)
    rows = [(now, _text(result), job_id, fence) for job_id, (fence, result) in results.items()]
    return connection.exec_driver_sql(SUCCEED_IN_FILE, rows).rowcount


# ---------------------------------------------------------------------- both
def _confirmed(database: Database, results: Results, met: int) -> Collection[str]:
    """Which were written, of a statement that says only how many rows it met. A success whose answer was lost is there already."""
    if met == len(results):
        return results.keys()
    return database.read(lambda connection: _succeeded(connection, list(results), results))


def _succeeded(connection: Connection, ids: Sequence[str], results: Results) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(ids), BATCH):
        some = ids[start : start + BATCH]
        pairs = or_(*(and_(jobs.c.id == job_id, jobs.c.fence == results[job_id][0]) for job_id in some))
        done = select(jobs.c.id).where(jobs.c.state == JobState.SUCCEEDED.value, pairs)
        found.update(connection.scalars(done))
    return found


_text = json.JSONEncoder().encode
