"""Events that a sink does not take, although it is there, are put off and at last parked; the others go on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLE = "outbox"


def upgrade() -> None:
    """Four columns; what is parked leaves the index of what is to go, and what is held gets one."""
    op.add_column(TABLE, sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column(TABLE, sa.Column("error", sa.Text()))
    op.add_column(TABLE, sa.Column("retry_at", sa.Double()))
    op.add_column(TABLE, sa.Column("parked_at", sa.Double()))
    op.drop_index("outbox_in_turn", TABLE)
    _index("outbox_in_turn", "sink", "number", where="parked_at IS NULL")
    _index("outbox_held", "sink", "job_id", "number", where="error IS NOT NULL")


def downgrade() -> None:
    """As it was: what is parked is tried again."""
    op.drop_index("outbox_held", TABLE)
    op.drop_index("outbox_in_turn", TABLE)
    op.create_index("outbox_in_turn", TABLE, ["sink", "number"])
    for name in ("parked_at", "retry_at", "error", "tries"):
        op.drop_column(TABLE, name)


def _index(name: str, *columns: str, where: str) -> None:
    op.create_index(name, TABLE, list(columns), sqlite_where=sa.text(where), postgresql_where=sa.text(where))
