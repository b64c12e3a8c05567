"""Whether a dead letter names a job is looked up, not searched for: before a job's row goes, and when a job is reopened."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One index. Ended jobs themselves are found by that of their age."""
    op.create_index("dead_letters_by_job", "dead_letters", ["job_id"])


def downgrade() -> None:
    """As it was."""
    op.drop_index("dead_letters_by_job", "dead_letters")
