"""Whether what the settings say of the platform's records, sessions and views is so."""

from __future__ import annotations

from collections.abc import Sequence

from src.application.ports.checkable import Checkable
from src.infrastructure.db.foreign import NoTable
from src.infrastructure.db.schema import upgrade
from src.interfaces.wiring.adapters import Adapters
from src.interfaces.wiring.settings import Settings, is_server


def check_platform(settings: Settings, adapters: Adapters) -> str:
    """What was found. A drive that is not mounted now may be so later, and a platform's database need not have tables that nobody
    named: warnings. Raises ConfigError, DatabaseUnavailable, ContentUnavailable."""
    content = settings.content
    if content.database_url is None and not is_server(settings.database_url):
        upgrade(settings.database_url)
    facts: list[str] = []
    if (root := content.media_root) is not None and not root.is_dir():
        facts.append(f"warning: media root {root} is not there now")
    facts += _facts(adapters.contents())
    for adapter, setting, jobs in (
        (adapters.sessions(), "sessions_table", "cleanup of sessions"),
        (adapters.statistics(), "views_table", "daily_statistics"),
    ):
        try:
            facts += _facts(adapter)
        except NoTable as error:
            if setting in content.model_fields_set:
                raise
            facts.append(f"warning: {error.message}, so {jobs} can't be done ({error.fix})")
    return "; ".join(facts)


def _facts(adapter: object) -> Sequence[str]:
    return adapter.check() if isinstance(adapter, Checkable) else ()
