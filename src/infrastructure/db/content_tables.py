"""Tables of the content jobs, for those whose platform has none of its own. Times are epoch seconds.

Names of ours, because a platform that shares the database may well have `contents` and `sessions`; only `cached_content` is
called as its readers know it (contracts.md 4.1).
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Double, Integer, String, Table, Text

from src.infrastructure.db.tables import DOCUMENT, ROW_NUMBER, metadata

media_contents = Table(
    "media_contents",
    metadata,
    Column("id", String, primary_key=True),
    Column("file_path", Text),
    Column("title", Text),
    Column("description", Text),
    Column("thumbnail_path", Text),
    Column("series_id", String),
    Column("episode_number", Integer),
    Column("event_type", String),
    Column("year", Integer),
    Column("brand", String),
    Column("quality", String),
    Column("is_remastered", Boolean),
    Column("players", JSON(none_as_null=True)),
    Column("view_count", BigInteger),
    Column("duration_seconds", Double),
    Column("video_codec", String),
    Column("audio_codec", String),
    Column("resolution", String),
    Column("file_size", BigInteger),
    Column("created_at", Double),
)

# cached_at is 0 while the file is being copied: its bytes count from then on.
cached_content = Table(
    "cached_content",
    metadata,
    Column("content_id", String, primary_key=True),
    Column("file_path", Text, nullable=False),
    Column("file_size", BigInteger, nullable=False),
    Column("cached_at", Double, nullable=False),
    Column("last_accessed", Double, nullable=False),
    Column("access_count", BigInteger, nullable=False),
)

media_sessions = Table(
    "media_sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("user_id", String, nullable=False),
    Column("refresh_token", Text),
    Column("expires_at", Double, nullable=False),
    Column("created_at", Double),
)

media_views = Table(
    "media_views",
    metadata,
    Column("id", ROW_NUMBER, primary_key=True, autoincrement=True),
    Column("content_id", String, nullable=False),
    Column("user_id", String),
    Column("watched_seconds", Double, nullable=False),
    Column("viewed_at", Double, nullable=False),
)

media_daily_statistics = Table(
    "media_daily_statistics",
    metadata,
    Column("date", String, primary_key=True),
    Column("total_views", BigInteger, nullable=False),
    Column("unique_users", BigInteger, nullable=False),
    Column("total_watch_time", Double, nullable=False),
    Column("popular_contents", DOCUMENT, nullable=False),
    Column("updated_at", Double, nullable=False),
)
