"""How long a loop may be silent, from the settings."""

from __future__ import annotations

from src.application.engine.health import WEDGED_SECONDS, Health
from src.interfaces.wiring.adapters import Adapters
from src.interfaces.wiring.settings import Settings, is_server

SPARE_SECONDS = 5.0
"""For what else a turn does."""


def make_health(settings: Settings, adapters: Adapters) -> Health:
    """One limit for a worker, a scheduler and a listener: no shorter than a database server that hangs keeps a turn."""
    held = 0.0
    # The queue may have a server of its own beside a file, or beside Redis.
    if is_server(settings.database_url) or is_server(settings.queue_database_url):
        held = adapters.server_options().longest_seconds + SPARE_SECONDS
    return Health(adapters.clock(), wedged_after_seconds=max(WEDGED_SECONDS, held))
