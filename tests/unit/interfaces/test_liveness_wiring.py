"""How long the loops of each process may be silent, as the settings have it."""

from __future__ import annotations

import pytest

from src.application.engine.health import WEDGED_SECONDS
from src.infrastructure.db.server import ServerOptions
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.healths import make_health

SERVER = {"WORKER_DATABASE__URL": "postgresql://nobody@127.0.0.1:9/none", "WORKER_QUEUE__BACKEND": "postgres"}


def patience(**given: str) -> float:
    settings = load({"WORKER_DATA_DIR": "/nowhere", **given})
    return make_health(settings, build(settings, build_catalog(settings))).wedged_after_seconds


def test_a_database_that_hangs_lets_go_of_a_turn_before_it_counts_as_wedged() -> None:
    assert ServerOptions().longest_seconds == 55 < WEDGED_SECONDS
    assert patience() == patience(**SERVER) == WEDGED_SECONDS


@pytest.mark.parametrize(
    ("name", "value", "seconds"), [("STATEMENT_SECONDS", "300", 330.0), ("CONNECT_SECONDS", "35", 90.0)]
)
def test_settings_that_wait_longer_for_a_server_make_the_patience_longer(name: str, value: str, seconds: float) -> None:
    assert patience(**SERVER, **{f"WORKER_DATABASE__{name}": value}) == seconds
    assert patience(**{f"WORKER_DATABASE__{name}": value}) == WEDGED_SECONDS, "a file has no server"
    beside = {"WORKER_QUEUE__BACKEND": "postgres", "WORKER_QUEUE__URL": SERVER["WORKER_DATABASE__URL"]}
    assert patience(**beside, **{f"WORKER_DATABASE__{name}": value}) == seconds, "the queue has one of its own"
