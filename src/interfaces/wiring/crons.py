"""Cron's entries and its scheduler from the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.application.catalog import Catalog
from src.application.cron.builtin import BUILT_IN
from src.application.cron.crontab import read_crontab, with_options
from src.application.cron.entry import Entry
from src.application.cron.scheduler import Scheduler
from src.application.ports.meter import UNMETERED, Meter
from src.domain.cron import Missed, Policy
from src.domain.errors import ConfigError
from src.interfaces.wiring.adapters import Adapters
from src.interfaces.wiring.cron_settings import OFF
from src.interfaces.wiring.environment import variable
from src.interfaces.wiring.queues import shown_queue
from src.interfaces.wiring.settings import Settings

NO_SUCH_TYPE = "not scheduled: no such job type in this worker"
SWITCHED_OFF = "switched off"

SAMPLE = 946_684_800.0
"""2000-01-01: a moment for which each entry's payload is tried."""


@dataclass(frozen=True, slots=True)
class Unscheduled:
    """A built-in entry that does not run, and why."""

    name: str
    type: str
    why: str


@dataclass(frozen=True, slots=True)
class Crontab:
    """All that the settings name."""

    entries: Sequence[Entry]
    unscheduled: Sequence[Unscheduled]


def make_crontab(settings: Settings, catalog: Catalog) -> Crontab:
    """Raises ConfigError for a file that can't be read, an entry of it whose job type there is not or that names another queue,
    a name twice, and a payload that the job type refuses."""
    cron = settings.cron
    policy = Policy(missed=Missed(cron.missed), grace_seconds=cron.grace_seconds, fill_seconds=cron.fill_seconds)
    entries: list[Entry] = []
    unscheduled: list[Unscheduled] = []
    for name, written in _built_in(settings).items():
        known = next(each for each in BUILT_IN if each.name == name)
        if written.strip() == OFF:
            unscheduled.append(Unscheduled(name, known.type, SWITCHED_OFF))
        elif known.type not in catalog.names():
            unscheduled.append(Unscheduled(name, known.type, NO_SUCH_TYPE))
        else:
            schedule, own = with_options(written, cron.zone, policy)
            origin = variable(f"cron.{name}")
            entries.append(
                Entry(name=name, type=known.type, schedule=schedule, payload=known.payload, policy=own, origin=origin)
            )
    if cron.file is not None:
        entries += _of_file(cron.file, policy, settings, catalog)
    seen: dict[str, str] = {
        each.name: variable(f"cron.{each.name}") for each in unscheduled if each.why != SWITCHED_OFF
    }
    for entry in entries:
        if entry.name in seen:
            raise ConfigError(
                f"{entry.origin}: the entry {entry.name!r} is there already ({seen[entry.name]})",
                fix=f"give it an id of its own (?id=...), or set {variable('cron.' + entry.name)}={OFF}",
            )
        seen[entry.name] = entry.origin
        entry.check(catalog, SAMPLE)
    return Crontab(entries, unscheduled)


def check_crontab(settings: Settings, catalog: Catalog) -> str:
    """As a scheduler reads it. Raises ConfigError."""
    found = make_crontab(settings, catalog)
    off = f" (without {', '.join(each.name for each in found.unscheduled)})" if found.unscheduled else ""
    return f"{len(found.entries)} entries{off}"


def make_scheduler(
    entries: Sequence[Entry],
    adapters: Adapters,
    catalog: Catalog,
    meter: Meter = UNMETERED,
    goes_on: Callable[[], object] = lambda: None,
) -> Scheduler:
    """Connects to nothing yet."""
    return Scheduler(
        entries=entries,
        catalog=catalog,
        ticks=adapters.cron_ticks(),
        ledger=adapters.ledger(),
        dispatch=adapters.dispatch(),
        meter=meter,
        goes_on=goes_on,
    )


def _built_in(settings: Settings) -> dict[str, str]:
    return {
        "cache_cleanup": settings.cron.cache_cleanup,
        "session_cleanup": settings.cron.session_cleanup,
        "full_reindex": settings.cron.full_reindex,
        "daily_statistics": settings.cron.daily_statistics,
    }


def _of_file(path: Path, policy: Policy, settings: Settings, catalog: Catalog) -> list[Entry]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"the crontab {path} can't be read: {reason}", fix=f"set {variable('cron.file')} to a text file"
        ) from error
    entries = read_crontab(text, str(path), policy)
    known, ours = catalog.names(), shown_queue(settings)
    for entry in entries:
        if entry.type not in known:
            raise ConfigError(
                f"{entry.origin}: no job type {entry.type!r}",
                fix=f"registered: {', '.join(known) or 'none'}; others come with {variable('jobs.modules')}",
            )
        if entry.queue not in (None, ours):
            raise ConfigError(
                f"{entry.origin}: queue={entry.queue}, and this scheduler publishes to {ours!r}",
                fix=f"take it away: {variable('queue.lanes')} decide, by the job type's priority"
                if settings.queue.lanes
                else f"take it away, or run a scheduler with {variable('queue.name')}={entry.queue}",
            )
    return entries
