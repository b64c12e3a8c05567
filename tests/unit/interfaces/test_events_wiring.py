"""Who is told of events, who hears them, and what is told of that."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.application.catalog import Catalog
from src.application.engine.health import Health
from src.application.events.relay import LEAD_SECONDS
from src.application.metrics import EVENTS_OLDEST, EVENTS_PARKED, EVENTS_UNSENT
from src.application.ports.outbox import Announced, JobEvent
from src.infrastructure.db import schema
from src.infrastructure.db.outbox import announce
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.events import make_listeners, make_relay
from src.interfaces.wiring.numbers import make_numbers, make_tally
from src.interfaces.wiring.settings import Settings
from src.interfaces.wiring.worker import engine_options


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(
        {
            "WORKER_DATA_DIR": str(tmp_path),
            "WORKER_ID": "twin",
            "WORKER_REDIS__URL": "redis://127.0.0.1:1/0",
            "WORKER_EVENTS__SINKS": "log,redis",
        }
    )


@pytest.fixture
def catalog(settings: Settings) -> Catalog:
    return build_catalog(settings)


@pytest.fixture
def adapters(settings: Settings, catalog: Catalog) -> Adapters:
    made = build(settings, catalog)
    schema.upgrade(made.database().url)
    return made


def test_two_workers_of_one_name_do_not_both_lead(settings: Settings, adapters: Adapters) -> None:
    one, other = (make_relay(settings, adapters, engine_options(settings).owner) for _twin in range(2))
    assert one is not None
    assert other is not None
    assert one.owner.startswith("twin")
    assert one.outbox.lead("log", one.owner, seconds=LEAD_SECONDS)
    assert not other.outbox.lead("log", other.owner, seconds=LEAD_SECONDS)


def test_two_listeners_of_one_name_do_not_both_act(settings: Settings, adapters: Adapters, catalog: Catalog) -> None:
    one, other = (make_listeners(settings, adapters, catalog, "twin")["pubsub"] for _twin in range(2))
    assert [one.may_act(), other.may_act(), one.may_act()] == [True, False, True]


def test_f45_an_event_that_was_heard_is_a_sign_of_life_of_its_road(
    settings: Settings, adapters: Adapters, catalog: Catalog
) -> None:
    told: list[str] = []
    for listener in make_listeners(settings, adapters, catalog, "twin", goes_on=told.append).values():
        listener.count()
    assert told == ["pubsub", "stream"]


def test_f37_what_is_parked_is_counted_and_stays_in_the_lag(settings: Settings, adapters: Adapters) -> None:
    for number in (1, 2, 3):
        event = JobEvent(
            id=f"e{number}", type="x", at=float(number), job_id=f"j{number}", tenant="t", subject=None, data={}
        )
        adapters.database().write(lambda c, event=event: announce(c, Announced(event, ["log"]), 0.0))
    adapters.outbox().hold("log", "e1", tries=12, error="500", seconds=None)
    adapters.outbox().hold("log", "e2", tries=1, error="500", seconds=9.0)
    health, tally = Health(adapters.clock()), make_tally(adapters)
    found = {
        (each.metric, *each.labels): each.value
        for each in make_numbers("events", settings, adapters, health, tally).sounded()
    }
    assert (found[EVENTS_UNSENT, "log"], found[EVENTS_PARKED, "log"]) == (3, 1)
    assert (found[EVENTS_UNSENT, "redis"], found[EVENTS_PARKED, "redis"]) == (0, 0)
    assert found[EVENTS_OLDEST, "log"] == pytest.approx(adapters.clock().now() - 1, abs=60)


def test_a_channel_named_after_no_event_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = load(
        {
            "WORKER_DATA_DIR": str(tmp_path),
            "WORKER_REDIS__URL": "redis://127.0.0.1:1/0",
            "WORKER_EVENTS__CHANNELS": "foo.bar,app:content.created,content.updated",
        }
    )
    catalog = build_catalog(settings)
    made = build(settings, catalog)
    schema.upgrade(made.database().url)
    make_listeners(settings, made, catalog, "one")
    told = [record for record in caplog.records if record.message == "events.channel_of_no_type"]
    assert [vars(record)["channel"] for record in told] == ["foo.bar"]
    assert "content.created" in vars(told[0])["types"]
