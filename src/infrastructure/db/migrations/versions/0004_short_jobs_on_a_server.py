"""What short jobs ask of a server in batches is a function of the database: only a function brings its planner settings along.

The planner does not know a table that grew a moment ago. Left alone, it then reads the whole table for every batch.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PEEK = """
CREATE FUNCTION worker_peek(queue_name text, most integer)
RETURNS TABLE (place text, id bigint, body bytea, receive_count integer, enqueued_at double precision, attributes text)
LANGUAGE sql VOLATILE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
SELECT q.ctid::text, q.id, q.body, q.receive_count, q.enqueued_at, q.attributes::text FROM queue_messages AS q
WHERE q.queue = $1 AND q.visible_at <= (SELECT worker_now())
ORDER BY q.priority, q.visible_at, q.id LIMIT $2
FOR UPDATE SKIP LOCKED
$$
"""

ACK = """
CREATE FUNCTION worker_ack(queue_name text, ids bigint[], receipts text[]) RETURNS void
LANGUAGE sql VOLATILE
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DELETE FROM queue_messages WHERE (queue || '') = $1 AND id = ANY($2) AND receipt = ANY($3)
$$
"""
"""The queue's name is no column here, so that no index on it is thought of: with one, a backlog is walked over for each id."""

SUCCEED = """
CREATE FUNCTION worker_succeed(ids text[], fences bigint[], results text[]) RETURNS SETOF text
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off
AS $$
DECLARE
    moment double precision := worker_now();
BEGIN
    FOR i IN 1 .. cardinality(ids) LOOP
        UPDATE jobs SET state = 'SUCCEEDED', lease_until = NULL, wake_at = NULL, finished_at = moment,
            result = results[i]::json, error = NULL
        WHERE id = ids[i] AND fence = fences[i] AND state = 'RUNNING';
        IF FOUND THEN
            RETURN NEXT ids[i];
        END IF;
    END LOOP;
END
$$
"""
"""One at a time, because a join is planned by guesses: the lists nested in one another, or the whole table hashed."""


def upgrade() -> None:
    """On PostgreSQL only."""
    if op.get_context().dialect.name == "postgresql":
        for function in (PEEK, ACK, SUCCEED):
            op.execute(function)


def downgrade() -> None:
    """As it was."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION worker_peek(text, integer)")
        op.execute("DROP FUNCTION worker_ack(text, bigint[], text[])")
        op.execute("DROP FUNCTION worker_succeed(text[], bigint[], text[])")
