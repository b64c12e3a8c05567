"""What short jobs ask of a server costs it less: many successes are one statement, and many beginnings have their plan ready."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
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


def upgrade() -> None:
    """On PostgreSQL only. `worker_succeed` stays: workers of the version before call it while they are replaced."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(FINISH)
        op.execute(BEGIN)


def downgrade() -> None:
    """As it was."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION worker_finish(text[], bigint, text[])")
        op.execute("DROP FUNCTION worker_begin")
