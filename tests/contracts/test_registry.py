"""No adapter that the wiring offers can be left out of the suites."""

from __future__ import annotations

import pytest

from src.interfaces.wiring.adapters import CHOICES
from src.interfaces.wiring.assemble import WITH_EFFECTS
from tests.contracts.backends import LEDGER_ABILITIES, LEDGERS, LOCKS, PROGRESSES, QUEUES, STATES, STORAGES
from tests.contracts.backends.content import PLATFORMS, SESSIONS
from tests.contracts.backends.search import SEARCHES
from tests.contracts.backends.state import LedgerAbilities

SQL = ("sqlite", "postgres")
"""Databases: the wiring chooses between them by the address."""

COVERED = {
    "queue.backend": set(QUEUES),
    "ledger.backend": {"database" if name in SQL else name for name in LEDGERS if name != "memory"},
    "lock.backend": {"database" if name in SQL else name for name in LOCKS},
    "progress.backend": {"database" if name in SQL else name for name in PROGRESSES},
    "storage.backend": set(STORAGES),
    "search.backend": set(SEARCHES) - {"memory"},
    "content.backend": {"database" if name in (*SQL, "foreign") else name for name in PLATFORMS if name != "memory"},
    "content.sessions_backend": {
        "database" if name in (*SQL, "foreign", "foreign_file") else name for name in SESSIONS if name != "memory"
    },
}


@pytest.mark.parametrize("setting", sorted(CHOICES))
def test_every_adapter_that_can_be_chosen_runs_the_contract_suite(setting: str) -> None:
    assert set(CHOICES[setting].providers) == COVERED[setting]


@pytest.mark.parametrize("name", sorted(set(LEDGERS) - {"memory"}))
def test_a_ledger_writes_effects_as_the_wiring_believes(name: str) -> None:
    """Those that do are States, which run the suite's tests of effects; the others get no job type that has any."""
    abilities = LEDGER_ABILITIES.get(name, LedgerAbilities())
    assert abilities.effects == (name in STATES)
    assert abilities.effects == (("database" if name in SQL else name) in WITH_EFFECTS)
