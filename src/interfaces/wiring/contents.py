"""What content jobs work with, from the settings. Imported only when a handler asks for one of them."""

from __future__ import annotations

import json
from pathlib import Path
from zoneinfo import ZoneInfo

from src.application.content.media_files import MediaFiles
from src.application.content.settings import ContentSettings
from src.application.content.tier import CacheTier
from src.application.ports.storage import Storage
from src.application.ports.sweeper import Cleanable, Guard
from src.domain.errors import Permanent
from src.infrastructure.cache.ssd import SsdCache
from src.infrastructure.clock import SystemClock
from src.infrastructure.db.cached_content import SqlCacheIndex
from src.infrastructure.db.contents import SqlContents
from src.infrastructure.db.engine import Database
from src.infrastructure.db.sessions import SqlSessions
from src.infrastructure.db.statistics import SqlStatistics
from src.infrastructure.storage.filesystem import FilesystemStorage
from src.infrastructure.storage.old_files import OldFilesOnDisk
from src.interfaces.wiring.cleaned_folders import HOT, Place, Seen, clash, cleaned, identities
from src.interfaces.wiring.databases import server_options
from src.interfaces.wiring.environment import with_variables
from src.interfaces.wiring.settings import Settings


def content_settings(settings: Settings) -> ContentSettings:
    """What the handlers go by."""
    content = settings.content
    return ContentSettings(
        thumbnail_position=content.thumbnail_position,
        thumbnail_width=content.thumbnail_width,
        thumbnail_height=content.thumbnail_height,
        zone=ZoneInfo(content.time_zone),
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
    return SqlContents(
        database=database,
        table=content.table,
        columns=json.loads(content.columns or "{}"),
        makes_records=owns_records(settings),
    )


def owns_records(settings: Settings) -> bool:
    """Whether the records are in our own table, in our own database."""
    content = settings.content
    is_ours = content.table == type(content).model_fields["table"].default
    return content.backend == "database" and content.database_url is None and is_ours and not content.columns


def ssd_cache(settings: Settings, database: Database) -> SsdCache:
    """The films in the cache, and their index in the worker's own database."""
    return SsdCache(
        folder=settings.cache_path / HOT,
        index=SqlCacheIndex(database),
        clock=SystemClock(),
        budget_bytes=settings.content.cache_bytes,
        old_seconds=settings.content.cache_days * 86_400,
        guard=guard(settings),
    )


def guard(settings: Settings) -> Guard:
    """The rule of the settings once more, for what has become a link or a mount since they were read."""

    def looked_at(folder: Path) -> Cleanable:
        named = next(place.named for place in cleaned(settings) if folder.is_relative_to(place.path))
        if (why := clash(settings, Place(named, folder))) is not None:
            raise Permanent(
                with_variables(f"nothing was removed: {why}"),
                fix=with_variables(f"see where the links and mounts of {named} lead, and start the worker again"),
            )
        return Cleanable(Seen.at(folder).real, identities(settings))

    return looked_at


def sql_sessions(settings: Settings, database: Database) -> SqlSessions:
    """Sessions in a table."""
    content = settings.content
    return SqlSessions(
        database=database,
        table=content.sessions_table,
        key=content.sessions_key,
        expires=content.sessions_expires,
        times=content.times,
    )


def sql_statistics(settings: Settings, database: Database, platform: Database) -> SqlStatistics:
    """Views of the platform, figures of ours."""
    content = settings.content
    return SqlStatistics(
        database=database,
        platform=platform,
        table=content.views_table,
        columns=json.loads(content.views_columns or "{}"),
        times=content.times,
    )


def old_files(settings: Settings) -> OldFilesOnDisk:
    """Logs and temporary files."""
    content = settings.content
    return OldFilesOnDisk(
        clock=SystemClock(),
        logs=content.log_dir,
        log_seconds=content.log_days * 86_400,
        temp=content.temp_dir,
        cache=settings.cache_path,
        temp_seconds=content.temp_hours * 3600,
        guard=guard(settings),
    )
