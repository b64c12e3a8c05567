"""Jobs that are about nothing stay out of the index of subjects: most short jobs are such, and each would be an entry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NAME = "one_active_job_per_subject"
ACTIVE = "state IN ('QUEUED', 'RUNNING', 'RETRY_WAIT')"


def upgrade() -> None:
    """The index without them."""
    _replace(f"{ACTIVE} AND subject IS NOT NULL")


def downgrade() -> None:
    """As it was."""
    _replace(ACTIVE)


def _replace(where: str) -> None:
    op.drop_index(NAME, "jobs")
    op.create_index(
        NAME, "jobs", ["type", "subject"], unique=True, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )
