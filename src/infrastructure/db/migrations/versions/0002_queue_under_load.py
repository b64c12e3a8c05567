"""The queue's table survives a long backlog: an index that needs no sort, and vacuum that keeps up with it."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

READY = ["queue", "priority", "visible_at"]

VACUUM = {
    # Every message is written, hidden and removed: the default (a fifth of the table) lets the head of the index fill with
    # the dead, and every receive walks over them.
    "autovacuum_vacuum_scale_factor": "0.01",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_insert_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_vacuum_cost_delay": "0",
    # Room for the new version of a row that is hidden, on the page where the old one is.
    "fillfactor": "80",
}

TAKE = """
CREATE FUNCTION worker_take(queue_name text, most integer, hide_seconds double precision)
RETURNS TABLE (place integer, id bigint, body bytea, receipt varchar, receive_count integer,
    enqueued_at double precision, attributes json)
LANGUAGE sql VOLATILE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
WITH best AS MATERIALIZED (
    SELECT q.id FROM queue_messages AS q
    WHERE q.queue = $1 AND q.visible_at <= (SELECT worker_now())
    ORDER BY q.priority, q.visible_at, q.id LIMIT $2
    FOR UPDATE SKIP LOCKED)
UPDATE queue_messages AS m
SET visible_at = (SELECT worker_now()) + $3,
    receive_count = m.receive_count + 1,
    receipt = m.id::text || ':' || (m.receive_count + 1)::text
WHERE m.id = ANY(ARRAY(SELECT b.id FROM best AS b))
RETURNING array_position(ARRAY(SELECT b.id FROM best AS b), m.id),
    m.id, m.body, m.receipt, m.receive_count, m.enqueued_at, m.attributes
$$
"""
"""Claims messages. The planner does not know a table that grew a moment ago, and reckons with a tenth of it where a limit is a
parameter: it then reads and sorts the whole backlog for every receive. The settings leave it the index in its order."""

UPDATED_OFTEN = ("jobs", "progress", "locks")
"""Rows of a job are written at every beat and reading; free space on their page lets PostgreSQL keep indexes as they are."""


def upgrade() -> None:
    """Index with the id at its end; table settings on PostgreSQL."""
    op.drop_index("queue_messages_ready", "queue_messages")
    op.create_index("queue_messages_ready", "queue_messages", [*READY, "id"])
    if op.get_context().dialect.name == "postgresql":
        op.execute(TAKE)
        op.execute(
            f"ALTER TABLE queue_messages SET ({', '.join(f'{name} = {value}' for name, value in VACUUM.items())})"
        )
        for table in UPDATED_OFTEN:
            op.execute(f"ALTER TABLE {table} SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)")


def downgrade() -> None:
    """As it was."""
    op.drop_index("queue_messages_ready", "queue_messages")
    op.create_index("queue_messages_ready", "queue_messages", READY)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION worker_take(text, integer, double precision)")
        op.execute(f"ALTER TABLE queue_messages RESET ({', '.join(VACUUM)})")
        for table in UPDATED_OFTEN:
            op.execute(f"ALTER TABLE {table} RESET (fillfactor, autovacuum_vacuum_scale_factor)")
