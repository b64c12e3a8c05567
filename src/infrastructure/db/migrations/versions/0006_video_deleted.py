"""Videos can be deleted: the row stays and says when. And one object can be asked whose source it is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column, one index."""
    op.add_column("videos", sa.Column("deleted_at", sa.Double()))
    op.create_index("videos_by_source", "videos", ["source_key"])


def downgrade() -> None:
    """As it was."""
    op.drop_index("videos_by_source", "videos")
    op.drop_column("videos", "deleted_at")
