"""No adapter that the wiring offers can be left out of the suites."""

from __future__ import annotations

import pytest

from src.interfaces.wiring.adapters import CHOICES
from tests.contracts.backends import LOCKS, PROGRESSES, QUEUES, STORAGES

SQL = ("sqlite", "postgres")
"""Databases: the wiring chooses between them by the address."""

COVERED = {
    "queue.backend": set(QUEUES),
    "lock.backend": {"database" if name in SQL else name for name in LOCKS},
    "progress.backend": {"database" if name in SQL else name for name in PROGRESSES},
    "storage.backend": set(STORAGES),
}


@pytest.mark.parametrize("setting", sorted(CHOICES))
def test_every_adapter_that_can_be_chosen_runs_the_contract_suite(setting: str) -> None:
    assert set(CHOICES[setting].providers) == COVERED[setting]
