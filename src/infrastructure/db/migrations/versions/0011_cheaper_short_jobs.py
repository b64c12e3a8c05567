"""What short jobs ask of a server costs it less: many successes are one statement, and many beginnings have their plan ready."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

FINISH = """
CREATE FUNCTION worker_finish(ids text[], held bigint, results text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off
AS $$
DECLARE
    moment double precision := worker_now();
    alike boolean := cardinality(results) = 1;
    met bigint;
BEGIN
    UPDATE jobs SET state = 'SUCCEEDED', lease_until = NULL, wake_at = NULL, finished_at = moment, error = NULL,
        result = results[CASE WHEN alike THEN 1 ELSE width_bucket(id::text COLLATE "C", ids) END]::json
    WHERE id = ANY(ids) AND fence = held AND state = 'RUNNING';
    GET DIAGNOSTICS met = ROW_COUNT;
    RETURN met;
END
$$
"""
"""`ids` in the order of their bytes, `results` in the same order, or one for all. A join would be planned by guesses; a list is
looked up in the index, whatever the planner thinks of the table, and a row's place in it is found by halves."""

BEGIN = """
CREATE FUNCTION worker_begin(ids text[], types text[], tenants text[], subjects text[], payloads text[], most integer[],
    priorities integer[], traces text[], owner text, lease double precision, places text[],
    OUT begun text[], OUT moment double precision)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off
AS $$
BEGIN
    moment := worker_now();
    WITH made AS (
        INSERT INTO jobs (id, type, tenant, subject, payload, max_attempts, priority, trace, state, generation, fence,
            attempts, crashes, error_counts, lease_owner, lease_until, due_at, wake_at, created_at, started_at)
        SELECT g.id, g.type, g.tenant, g.subject, g.payload::json, g.most, g.priority, g.trace, 'RUNNING', 1, 1,
            1, 0, '{}', owner, moment + lease, moment, moment + lease, moment, moment
        FROM unnest(ids, types, tenants, subjects, payloads, most, priorities, traces)
            AS g (id, type, tenant, subject, payload, most, priority, trace)
        ORDER BY g.id ON CONFLICT DO NOTHING RETURNING id)
    SELECT array_agg(made.id) INTO begun FROM made;
    IF cardinality(begun) = cardinality(ids) THEN
        DELETE FROM queue_messages WHERE ctid = ANY(places::tid[]);
        begun := NULL;
        RETURN;
    END IF;
    begun := coalesce(begun, '{}');
    DELETE FROM queue_messages WHERE ctid = ANY(ARRAY(
        SELECT given.place::tid FROM unnest(ids, places) AS given (id, place) WHERE given.id = ANY(begun)));
END
$$
"""
"""`begun` is null for all of them. ON CONFLICT waits for the other transaction: in one order, or two workers with copies of the
same jobs deadlock. Where a message lies is as good as its key, for as long as its reader's transaction has it locked."""

GLANCE = """
CREATE FUNCTION worker_glance(queue_name text, most integer)
RETURNS TABLE (version text, id bigint, body bytea, receive_count integer, enqueued_at double precision, attributes text)
LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
SELECT q.xmin::text, q.id, q.body, q.receive_count, q.enqueued_at, q.attributes::text FROM queue_messages AS q
WHERE q.queue = $1 AND q.visible_at <= (SELECT worker_now())
ORDER BY q.priority, q.visible_at, q.id LIMIT $2
$$
"""
"""`worker_peek` without locks."""

BEGIN_FEW = """
CREATE FUNCTION worker_begin_few(ids text[], types text[], tenants text[], subjects text[], payloads text[],
    most integer[], priorities integer[], traces text[], owner text, lease double precision, numbers bigint[],
    versions text[], OUT begun text[], OUT moment double precision)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off
AS $$
DECLARE
    locked bigint[];
    seen text[];
    places text[];
BEGIN
    SELECT array_agg(l.id), array_agg(l.version), array_agg(l.place) INTO locked, seen, places FROM (
        SELECT q.id, q.xmin::text AS version, q.ctid::text AS place FROM queue_messages AS q
        WHERE q.id = ANY(numbers) ORDER BY q.id FOR UPDATE SKIP LOCKED) AS l;
    moment := worker_now();
    begun := '{}';
    IF locked = numbers AND seen = versions THEN
        SELECT b.begun, b.moment INTO begun, moment FROM worker_begin(
            ids, types, tenants, subjects, payloads, most, priorities, traces, owner, lease, places) AS b;
    END IF;
END
$$
"""
"""`worker_begin` for messages that nobody has locked: in the order of their numbers, all of them as they were seen (a version
is the transaction that wrote the row last), or nothing is done."""


def upgrade() -> None:
    """On PostgreSQL only. `worker_succeed` stays: workers of the version before call it while they are replaced."""
    if op.get_context().dialect.name == "postgresql":
        for function in (FINISH, BEGIN, GLANCE, BEGIN_FEW):
            op.execute(function)


def downgrade() -> None:
    """As it was."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION worker_finish(text[], bigint, text[])")
        for name in ("worker_begin_few", "worker_glance", "worker_begin"):
            op.execute(f"DROP FUNCTION {name}")
