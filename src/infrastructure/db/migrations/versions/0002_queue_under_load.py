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

UPDATED_OFTEN = ("jobs", "progress", "locks")
"""Rows of a job are written at every beat and reading; free space on their page lets PostgreSQL keep indexes as they are."""


def upgrade() -> None:
    """Index with the id at its end; table settings on PostgreSQL."""
    op.drop_index("queue_messages_ready", "queue_messages")
    op.create_index("queue_messages_ready", "queue_messages", [*READY, "id"])
    if op.get_context().dialect.name == "postgresql":
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
        op.execute(f"ALTER TABLE queue_messages RESET ({', '.join(VACUUM)})")
        for table in UPDATED_OFTEN:
            op.execute(f"ALTER TABLE {table} RESET (fillfactor, autovacuum_vacuum_scale_factor)")
