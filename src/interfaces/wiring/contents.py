"""What content jobs work with, from the settings. Imported only when a handler asks for one of them."""

from __future__ import annotations

import json

from src.application.content.media_files import MediaFiles
from src.application.content.settings import ContentSettings
from src.application.content.tier import CacheTier
from src.application.ports.storage import Storage
from src.infrastructure.db.contents import SqlContents
from src.infrastructure.db.engine import Database
from src.infrastructure.storage.filesystem import FilesystemStorage
from src.interfaces.wiring.databases import server_options
from src.interfaces.wiring.settings import Settings


def content_settings(settings: Settings) -> ContentSettings:
    """What the handlers go by."""
    content = settings.content
    return ContentSettings(
        thumbnail_position=content.thumbnail_position,
        thumbnail_width=content.thumbnail_width,
        thumbnail_height=content.thumbnail_height,
    )


def media_files(settings: Settings, storage: Storage) -> MediaFiles:
    """Films by key and, under the media root, by path."""
    root = settings.content.media_root
    return MediaFiles(storage, FilesystemStorage(root) if root is not None else None, root)


def cache_tier(settings: Settings) -> CacheTier:
    """The cache on this machine."""
    root = settings.cache_path
    return CacheTier(FilesystemStorage(root), root)


def platform_database(settings: Settings, database: Database) -> Database:
    """Where the platform's tables are."""
    url = settings.content.database_url
    if url is None:
        return database
    return Database(
        url.get_secret_value(), busy_seconds=settings.database.busy_seconds, server=server_options(settings)
    )


def sql_contents(settings: Settings, database: Database) -> SqlContents:
    """Records in a table."""
    content = settings.content
    return SqlContents(database=database, table=content.table, columns=json.loads(content.columns or "{}"))
