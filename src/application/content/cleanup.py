"""Removes what nobody needs any more: films of the SSD tier, sessions, logs, temporary files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from src.application.outcome import Done, Outcome, Run
from src.application.ports.auth import Sessions
from src.application.ports.cache import Cache
from src.application.ports.sweeper import OldFiles
from src.domain.errors import InvalidPayload

TARGETS = ("cache", "sessions", "logs", "temp")

ALSO_CALLED = {"temp_files": "temp"}
"""Names of the older worker (contracts.md 4.2)."""


@dataclass(frozen=True, slots=True)
class CleanUp:
    """One target, or all."""

    targets: tuple[str, ...]


def parse_cleanup(_tenant: str, payload: Mapping[str, Any]) -> CleanUp:
    """`target` is one of TARGETS; without it all are meant. Raises InvalidPayload."""
    target = payload.get("target")
    if target is None:
        return CleanUp(TARGETS)
    named = ALSO_CALLED.get(target, target) if isinstance(target, str) else None
    if named not in TARGETS:
        raise InvalidPayload(f"there is no target {str(target)[:40]!r} to clean up", fix=f"one of {', '.join(TARGETS)}")
    return CleanUp((named,))


@dataclass(frozen=True, slots=True)
class CleanUpHandler:
    """Each target by itself: what one removed stays removed when another fails, and the next attempt finds less to do."""

    cache: Cache
    sessions: Sessions
    files: OldFiles

    def handle(self, request: CleanUp, run: Run) -> Outcome:
        """See Handler. The result has the counts of each target."""
        return Done({target: self._clean(target) for target in request.targets})

    def _clean(self, target: str) -> Mapping[str, Any]:
        match target:
            case "cache":
                return asdict(self.cache.cleanup_old_entries())
            case "sessions":
                return {"sessions": self.sessions.cleanup_expired_sessions()}
            case "logs":
                return asdict(self.files.remove_old_logs())
            case _:
                return asdict(self.files.remove_old_temp())
