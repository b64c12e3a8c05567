"""A receive brings some megabytes at most, however large and many the messages are."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

FITS = """
SELECT * FROM (
    SELECT l.*, sum(octet_length(l.body)) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM (
        SELECT q.id, q.body FROM queue_messages AS q
        WHERE q.queue = $1 AND q.visible_at <= (SELECT worker_now())
        ORDER BY q.priority, q.visible_at, q.id LIMIT $2
        FOR UPDATE SKIP LOCKED) AS l) AS w
WHERE w.before IS NULL OR w.before < 8388608
"""
"""RECEIVE_BYTES of the queue's port. A body's length is known without reading the body. What is locked and does not fit is free again with the commit."""

WHOLE = """
SELECT q.id, q.body FROM queue_messages AS q
WHERE q.queue = $1 AND q.visible_at <= (SELECT worker_now())
ORDER BY q.priority, q.visible_at, q.id LIMIT $2
FOR UPDATE SKIP LOCKED
"""
"""Before this migration."""

LOOK = """
CREATE FUNCTION worker_look(queue_name text, most integer, small integer)
RETURNS TABLE (place text, id bigint, body bytea, receive_count integer, enqueued_at double precision, attributes text,
    size integer)
LANGUAGE sql VOLATILE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
SELECT q.ctid::text, q.id, CASE WHEN octet_length(q.body) <= $3 THEN q.body END, q.receive_count, q.enqueued_at,
    q.attributes::text, octet_length(q.body)
FROM queue_messages AS q
WHERE q.queue = $1 AND q.visible_at <= (SELECT worker_now())
ORDER BY q.priority, q.visible_at, q.id LIMIT $2
FOR UPDATE SKIP LOCKED
$$
"""
"""`worker_peek` without the bodies that are not small: who asks takes as many of them as fit. A running sum here cost the server a
fifth more for each short job."""

TAKE = """
CREATE OR REPLACE FUNCTION worker_take(queue_name text, most integer, hide_seconds double precision)
RETURNS TABLE (place integer, id bigint, body bytea, receipt varchar, receive_count integer,
    enqueued_at double precision, attributes json)
LANGUAGE sql VOLATILE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
WITH best AS MATERIALIZED (SELECT r.id FROM ({rows}) AS r)
UPDATE queue_messages AS m
SET visible_at = (SELECT worker_now()) + $3,
    receive_count = m.receive_count + 1,
    receipt = m.id::text || ':' || (m.receive_count + 1)::text
WHERE m.id = ANY(ARRAY(SELECT b.id FROM best AS b))
RETURNING array_position(ARRAY(SELECT b.id FROM best AS b), m.id),
    m.id, m.body, m.receipt, m.receive_count, m.enqueued_at, m.attributes
$$
"""


def upgrade() -> None:
    """On PostgreSQL only; elsewhere the code counts. `worker_peek` stays: workers of the version before call it."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(LOOK)
        op.execute(TAKE.format(rows=FITS))


def downgrade() -> None:
    """As it was."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION worker_look(text, integer, integer)")
        op.execute(TAKE.format(rows=WHOLE))
