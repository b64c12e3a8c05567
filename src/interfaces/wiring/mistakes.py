"""Tells what an operator has to mend from what passes by itself, for those who ask once: commands and start-up checks.

A worker that runs waits for either. A password may be wrong for the moment in which it is changed, and no job is to blame.
"""

from __future__ import annotations

from collections.abc import Callable

from src.domain.errors import ConfigError, NetworkError, WorkerError
from src.interfaces.wiring.adapters import imported

TRANSLATORS = {
    "redis": "src.infrastructure.redis.errors:mistake",
    "sqlalchemy": "src.infrastructure.db.errors:setup_error",
}
"""{library that said what happened: who knows its words}. Imported when it has raised something, so it is there."""


def as_mistake(error: WorkerError) -> WorkerError:
    """The ConfigError that a backend's answer stands for (wrong password, no such database), else the error itself."""
    said: BaseException | None = error
    while isinstance(said, WorkerError):
        if not isinstance(said, NetworkError) or said.__cause__ is said:
            return error
        said = said.__cause__
    if (translator := TRANSLATORS.get(type(said).__module__.partition(".")[0])) is None:
        return error
    translated: Callable[[BaseException], ConfigError | None] = imported(translator)
    return translated(error) or error
