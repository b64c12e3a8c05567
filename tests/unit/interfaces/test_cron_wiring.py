"""Cron's entries as the settings name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.application.catalog import Catalog, JobType
from src.application.cron.schedule import Schedule
from src.domain.cron import Missed, Policy
from src.domain.errors import ConfigError
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.crons import NO_SUCH_TYPE, SWITCHED_OFF, Crontab, Unscheduled, make_crontab
from src.interfaces.wiring.environment import load

CONTENT = ("cleanup", "index", "daily_statistics")


def catalog(*names: str) -> Catalog:
    return Catalog([JobType(name=name, parse=lambda _tenant, payload: payload, handler="x:Y") for name in names])


def made(known: Catalog, **environ: str) -> Crontab:
    return make_crontab(load({f"WORKER_{name}": value for name, value in environ.items()}), known)


def test_the_built_in_entries_by_default() -> None:
    found = {entry.name: (entry.type, entry.schedule, entry.policy) for entry in made(catalog(*CONTENT)).entries}
    assert found == {
        "cache_cleanup": ("cleanup", Schedule("0 3 * * *", "Asia/Seoul"), Policy()),
        "session_cleanup": ("cleanup", Schedule("0 * * * *", "Asia/Seoul"), Policy()),
        "full_reindex": ("index", Schedule("0 4 * * *", "Asia/Seoul"), Policy()),
        "daily_statistics": ("daily_statistics", Schedule("0 0 * * *", "Asia/Seoul"), Policy()),
    }


def test_an_entry_whose_job_type_is_not_in_this_worker_is_left_out_and_said() -> None:
    crontab = made(catalog("index"), CRON__FULL_REINDEX="off")
    assert crontab == Crontab(
        [],
        [
            Unscheduled("cache_cleanup", "cleanup", NO_SUCH_TYPE),
            Unscheduled("session_cleanup", "cleanup", NO_SUCH_TYPE),
            Unscheduled("full_reindex", "index", SWITCHED_OFF),
            Unscheduled("daily_statistics", "daily_statistics", NO_SUCH_TYPE),
        ],
    )


def test_settings_change_zone_schedule_and_policy() -> None:
    crontab = made(
        catalog(*CONTENT),
        CRON__ZONE="Europe/Berlin",
        CRON__MISSED="skip",
        CRON__GRACE_SECONDS="5",
        CRON__CACHE_CLEANUP="30 2 * * 1-5",
        CRON__DAILY_STATISTICS="0 0 * * * ?tz=UTC&fill=2d",
        CRON__SESSION_CLEANUP="off",
    )
    found = {entry.name: (entry.schedule, entry.policy) for entry in crontab.entries}
    assert found == {
        "cache_cleanup": (
            Schedule("30 2 * * 1-5", "Europe/Berlin"),
            Policy(missed=Missed.SKIP, grace_seconds=5),
        ),
        "full_reindex": (Schedule("0 4 * * *", "Europe/Berlin"), Policy(missed=Missed.SKIP, grace_seconds=5)),
        "daily_statistics": (
            Schedule("0 0 * * *", "UTC"),
            Policy(missed=Missed.ALL, grace_seconds=5, fill_seconds=172_800),
        ),
    }


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CRON__ZONE", "Mars/Olympus", "no time zone"),
        ("CRON__CACHE_CLEANUP", "0 25 * * *", "Bad hour"),
        ("CRON__CACHE_CLEANUP", "never", "1 fields"),
        ("CRON__FULL_REINDEX", "0 4 * * * ?tz=Mars", "no time zone"),
        ("CRON__FULL_REINDEX", "0 4 * * * ?id=x", "no option 'id'"),
    ],
)
def test_a_setting_that_can_not_be_read_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"WORKER_{name}.*{words}"):
        made(catalog(*CONTENT), **{name: value})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("* * * * * unheard_of", "line 1: no job type 'unheard_of'"),
        ("* * * * * index ?queue=other", "line 1: queue=other, and this scheduler publishes to 'video'"),
        ("* * * * * index ?id=full_reindex", r"'full_reindex' is there already \(WORKER_CRON__FULL_REINDEX\)"),
    ],
)
def test_an_entry_of_the_file_that_can_not_run_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "crontab").write_text(text)
    with pytest.raises(ConfigError, match=words):
        made(catalog(*CONTENT), CRON__FILE=str(tmp_path / "crontab"))


def test_a_queue_in_the_file_is_not_answered_with_a_name_that_lanes_make_count_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "crontab").write_text("* * * * * index ?queue=other")
    lanes = {"QUEUE__BACKEND": "redis", "REDIS__URL": "redis://127.0.0.1:1/0", "QUEUE__LANES": "high,low"}
    with pytest.raises(ConfigError) as refused:
        made(catalog(*CONTENT), CRON__FILE=str(tmp_path / "crontab"), **lanes)
    assert "WORKER_QUEUE__LANES" in str(refused.value)
    assert "WORKER_QUEUE__NAME" not in str(refused.value)


def test_a_name_is_taken_also_by_a_built_in_entry_without_its_job_type_but_not_by_one_that_is_off(
    tmp_path: Path,
) -> None:
    (tmp_path / "crontab").write_text("* * * * * act ?id=full_reindex&queue=video")
    with pytest.raises(ConfigError, match="is there already"):
        made(catalog("act"), CRON__FILE=str(tmp_path / "crontab"))
    crontab = made(catalog("act"), CRON__FILE=str(tmp_path / "crontab"), CRON__FULL_REINDEX="off")
    assert [(entry.name, entry.type) for entry in crontab.entries] == [("full_reindex", "act")]


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "crontab").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="can't be read"):
        made(catalog("act"), CRON__FILE=str(tmp_path / "crontab"))


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({}, "SqlCronTicks"),
        ({"WORKER_LEDGER__BACKEND": "redis", "WORKER_REDIS__URL": "redis://127.0.0.1:9"}, "RedisCronTicks"),
    ],
)
def test_what_fired_is_kept_by_the_ledger_that_the_jobs_are_in(environ: dict[str, str], kind: str) -> None:
    adapters = build(load(environ), catalog("act"))
    ticks = adapters.cron_ticks()
    assert type(ticks).__name__ == kind
    assert ticks.ledger is adapters.ledger()
