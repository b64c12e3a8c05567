"""What recovery needs to know: whether anybody claimed a job since it was submitted, and whose source is gone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Two columns."""
    # A submission of before is taken for one whose job was claimed since: its end costs no attempt.
    op.add_column("batch_submissions", sa.Column("fence", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE batch_submissions SET fence = -1")
    op.add_column("videos", sa.Column("source_purged_at", sa.Double()))


def downgrade() -> None:
    """As it was."""
    op.drop_column("videos", "source_purged_at")
    op.drop_column("batch_submissions", "fence")
