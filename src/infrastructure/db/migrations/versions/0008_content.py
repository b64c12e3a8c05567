"""What the content jobs keep where no platform keeps it: records, the SSD tier's index, sessions, views, daily figures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON(none_as_null=True)
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Five tables and their indexes."""
    _contents()
    _cache()
    _sessions()
    _views()


def downgrade() -> None:
    """Drop them."""
    for table in ("media_daily_statistics", "media_views", "media_sessions", "cached_content", "media_contents"):
        op.drop_table(table)


def _contents() -> None:
    op.create_table(
        "media_contents",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("file_path", sa.Text),
        sa.Column("title", sa.Text),
        sa.Column("description", sa.Text),
        sa.Column("thumbnail_path", sa.Text),
        sa.Column("series_id", sa.String),
        sa.Column("episode_number", sa.Integer),
        sa.Column("event_type", sa.String),
        sa.Column("year", sa.Integer),
        sa.Column("brand", sa.String),
        sa.Column("quality", sa.String),
        sa.Column("is_remastered", sa.Boolean),
        sa.Column("players", DOCUMENT),
        sa.Column("view_count", sa.BigInteger),
        sa.Column("duration_seconds", sa.Double),
        sa.Column("video_codec", sa.String),
        sa.Column("audio_codec", sa.String),
        sa.Column("resolution", sa.String),
        sa.Column("file_size", sa.BigInteger),
        sa.Column("created_at", sa.Double),
    )


def _cache() -> None:
    # A platform that shares the database may have this table already: it is called as its own worker of before called it.
    op.create_table(
        "cached_content",
        sa.Column("content_id", sa.String, primary_key=True),
        sa.Column("file_path", sa.Text, nullable=False),
        sa.Column("file_size", sa.BigInteger, nullable=False),
        sa.Column("cached_at", sa.Double, nullable=False),
        sa.Column("last_accessed", sa.Double, nullable=False),
        sa.Column("access_count", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_index("cached_content_by_access", "cached_content", ["last_accessed", "content_id"], if_not_exists=True)


def _sessions() -> None:
    op.create_table(
        "media_sessions",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("refresh_token", sa.Text),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("created_at", sa.Double),
    )
    op.create_index("media_sessions_by_end", "media_sessions", ["expires_at"])


def _views() -> None:
    op.create_table(
        "media_views",
        sa.Column("id", ROW_NUMBER, primary_key=True, autoincrement=True),
        sa.Column("content_id", sa.String, nullable=False),
        sa.Column("user_id", sa.String),
        sa.Column("watched_seconds", sa.Double, nullable=False),
        sa.Column("viewed_at", sa.Double, nullable=False),
    )
    op.create_index("media_views_by_time", "media_views", ["viewed_at"])
    op.create_table(
        "media_daily_statistics",
        sa.Column("date", sa.String, primary_key=True),
        sa.Column("total_views", sa.BigInteger, nullable=False),
        sa.Column("unique_users", sa.BigInteger, nullable=False),
        sa.Column("total_watch_time", sa.Double, nullable=False),
        sa.Column("popular_contents", DOCUMENT, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
