"""Events for other systems, and who sends them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two tables and the indexes of one."""
    op.create_table(
        "outbox",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("sink", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("job_id", sa.String, nullable=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("subject", sa.String),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("trace", sa.String),
    )
    op.create_index("outbox_once", "outbox", ["sink", "id"], unique=True)
    op.create_index("outbox_in_turn", "outbox", ["sink", "number"])
    op.create_table(
        "outbox_leads",
        sa.Column("sink", sa.String, primary_key=True),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("outbox_leads")
    op.drop_table("outbox")
