"""The search index from the settings, and whether it can be used."""

from __future__ import annotations

from pathlib import Path

from src.application.ports.checkable import Checkable
from src.application.ports.clock import Clock
from src.application.ports.search import SearchIndex
from src.interfaces.wiring.adapters import Adapters, imported
from src.interfaces.wiring.settings import Settings


def embedded_search(settings: Settings) -> SearchIndex:
    """A file of this machine."""
    made: SearchIndex = imported("src.infrastructure.search.embedded:EmbeddedSearchIndex")(
        path=settings.search_path, busy_seconds=settings.database.busy_seconds
    )
    return made


def absent_index(settings: Settings) -> Path | None:
    """Where the embedded index should be, if no job has made it yet. Of a server's index None: an index that is not there answers
    as an empty one."""
    path = settings.search_path
    return path if settings.search.backend == "embedded" and not path.exists() else None


def meilisearch(settings: Settings, clock: Clock) -> SearchIndex:
    """A server. Raises ConfigError when its client is not installed."""
    search = settings.search
    made: SearchIndex = imported("src.infrastructure.search.meili:MeiliSearchIndex")(
        url=(search.url or "").rstrip("/"),
        name=search.index,
        clock=clock,
        api_key=search.api_key.get_secret_value() if search.api_key else None,
        timeout_seconds=search.timeout_seconds,
        task_seconds=search.task_seconds,
    )
    return made


def check_search(_settings: Settings, adapters: Adapters) -> str:
    """The index can be used. Raises ConfigError, SearchUnavailable."""
    index = adapters.search()
    return "; ".join(index.check()) if isinstance(index, Checkable) else "in memory"
