"""Where search indexes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from src.application.ports.search import SearchIndex
from src.infrastructure.clock import SystemClock
from src.infrastructure.memory.search import MemorySearchIndex
from src.infrastructure.search.embedded import EmbeddedSearchIndex
from src.infrastructure.search.meili import MeiliSearchIndex
from tests.servers.meili import MASTER, MeiliServer


class Hasty(SystemClock):
    """Each look at a task is a turn of the stand-in's queue: there is nothing to wait for."""

    def sleep(self, seconds: float) -> None:
        """Not at all."""


class SearchPlace(Protocol):
    """One index, which several workers may use."""

    def index(self) -> SearchIndex: ...
    def close(self) -> None: ...


class MemoryPlace:
    """In memory."""

    def __init__(self, _folder: Path) -> None:
        self.kept = MemorySearchIndex()

    def index(self) -> SearchIndex:
        """The one there is."""
        return self.kept

    def close(self) -> None:
        """Nothing to do."""


@dataclass
class EmbeddedPlace:
    """In a file."""

    folder: Path

    def index(self) -> SearchIndex:
        """Another worker's."""
        return EmbeddedSearchIndex(path=self.folder / "search.db")

    def close(self) -> None:
        """Nothing to do."""


class MeiliPlace:
    """On the stand-in for the server."""

    def __init__(self, _folder: Path) -> None:
        self.server = MeiliServer().start()

    def index(self) -> SearchIndex:
        """Another worker's."""
        return MeiliSearchIndex(url=self.server.url, name="contents", api_key=MASTER, clock=Hasty())

    def close(self) -> None:
        """Stop the server."""
        self.server.close()


SEARCHES: Mapping[str, Any] = {"memory": MemoryPlace, "embedded": EmbeddedPlace, "meilisearch": MeiliPlace}
"""{name: folder -> SearchPlace}"""
