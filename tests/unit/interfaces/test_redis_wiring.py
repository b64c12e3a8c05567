"""Redis by configuration alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.application.catalog import Catalog
from src.application.ports.checkable import Checkable
from src.domain.errors import ConfigError
from src.infrastructure.redis.dead_letters import RedisDeadLetters
from src.infrastructure.redis.ledger import RedisLedger
from src.infrastructure.redis.lock import RedisIdempotency
from src.infrastructure.redis.progress import RedisProgress
from src.infrastructure.redis.queue import RedisQueue
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.assemble import build_catalog, check_handlers, left_out
from src.interfaces.wiring.environment import load

CHOSEN = {
    "WORKER_QUEUE__BACKEND": "redis",
    "WORKER_QUEUE__NAME": "worker:high",
    "WORKER_LOCK__BACKEND": "redis",
    "WORKER_PROGRESS__BACKEND": "redis",
    "VIDEO_PROGRESS_TTL_SECONDS": "60",
}


def adapters(folder: Path, **more: str) -> Adapters:
    return build(load({**CHOSEN, "WORKER_DATA_DIR": str(folder), **more}), Catalog(()))


@pytest.mark.parametrize(
    "address",
    [
        {"WORKER_REDIS__URL": "redis://:p%40@h:7/3"},
        {"REDIS_HOST": "h", "REDIS_PORT": "7", "REDIS_DB": "3", "REDIS_PASSWORD": "p@"},
    ],
)
def test_one_address_serves_every_port_that_chose_redis(tmp_path: Path, address: dict[str, str]) -> None:
    made = adapters(tmp_path, **address)
    queue, lock, progress = made.queue(), made.lock(), made.progress()
    assert isinstance(queue, RedisQueue)
    assert isinstance(lock, RedisIdempotency)
    assert isinstance(progress, RedisProgress)
    assert queue.name == "worker:high"
    assert progress.ttl_seconds == 60
    for adapter in (queue, lock, progress):
        assert isinstance(adapter, Checkable)
        assert adapter.link.address.shown == "redis://h:7/3"
        assert adapter.link.options["password"] == "p@"
        assert "p@" not in repr(adapter)
        assert "p%40" not in repr(adapter)


@pytest.mark.parametrize("port", ["queue", "ledger", "lock", "progress"])
def test_redis_without_an_address_is_an_error_of_the_configuration(tmp_path: Path, port: str) -> None:
    with pytest.raises(ConfigError, match="WORKER_REDIS__URL"):
        getattr(adapters(tmp_path), port)()


# ---------------------------------------------------------------------- the ledger
LEDGER = {**CHOSEN, "WORKER_LEDGER__BACKEND": "redis", "WORKER_REDIS__URL": "redis://:p%40@h:7/3"}

WITH_EFFECTS = """
from src.application.catalog import JobType
from src.application.ports.ledger import Effect

JOB_TYPES = [JobType(name="paired", parse=lambda tenant, payload: payload, handler="x:Y", effects=lambda old, new: [Effect()])]
"""


def test_ledger_and_dead_letters_have_one_name_and_show_no_password(tmp_path: Path) -> None:
    made = adapters(tmp_path, **LEDGER, WORKER_LEDGER__NAME="short", WORKER_LEDGER__KEEP_SECONDS="60")
    ledger, letters = made.ledger(), made.dead_letters()
    assert isinstance(ledger, RedisLedger)
    assert isinstance(ledger, Checkable)
    assert isinstance(letters, RedisDeadLetters)
    assert ledger.store.base == letters.store.base == "{short}:"
    assert ledger.store.keep_millis == 60_000
    for adapter in (ledger, letters):
        assert adapter.store.link.options["password"] == "p@"
        assert "p@" not in repr(adapter)
        assert "p%40" not in repr(adapter)


@pytest.mark.parametrize("name", ["a{b}", "a b"])
def test_a_ledgers_name_that_is_no_hash_tag_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="WORKER_LEDGER__NAME"):
        load({**LEDGER, "WORKER_LEDGER__NAME": name})


def test_built_in_job_types_with_effects_are_left_out() -> None:
    settings = load(LEDGER)
    assert left_out(settings) == ["video", "delete_objects"]
    catalog = build_catalog(settings)
    assert {"thumbnail", "metadata"} <= set(catalog.names()), "those of the content worker have none"
    assert check_handlers(settings, catalog) == len(catalog.names())
    with pytest.raises(ConfigError, match="no job type to run: video") as refused:
        check_handlers(settings, Catalog([]))
    assert "WORKER_JOBS__MODULES" in str(refused.value)
    assert left_out(load({})) == []


def test_a_job_type_of_the_users_with_effects_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paired_jobs.py").write_text(WITH_EFFECTS)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="'paired' of paired_jobs has effects") as refused:
        build_catalog(load({**LEDGER, "WORKER_JOBS__MODULES": "paired_jobs"}))
    assert "WORKER_LEDGER__BACKEND=database" in str(refused.value)
    assert "paired" in build_catalog(load({"WORKER_JOBS__MODULES": "paired_jobs"})).names()


@pytest.mark.parametrize(
    ("more", "used"),
    [
        ({}, False),
        ({"WORKER_LOCK__BACKEND": "database"}, True),
        ({"WORKER_PROGRESS__BACKEND": "database"}, True),
        ({"WORKER_LEDGER__BACKEND": "database"}, True),
        ({"WORKER_QUEUE__BACKEND": "sqlite"}, True),
        ({"WORKER_QUEUE__BACKEND": "postgres", "WORKER_QUEUE__URL": "postgresql://h/other"}, False),
        ({"WORKER_QUEUE__BACKEND": "postgres", "WORKER_DATABASE__URL": "postgresql://h/db"}, True),
    ],
)
def test_a_database_is_used_when_anything_is_kept_in_it(more: dict[str, str], used: bool) -> None:
    assert load({**LEDGER, **more}).uses_database == used


REDIS = {"WORKER_REDIS__URL": "redis://h", "WORKER_QUEUE__BACKEND": "redis"}


@pytest.mark.parametrize(
    ("letters", "more"),
    [
        ("video", {}),
        ("{video}", {}),
        ("{video}:claiming", {}),
        ("video", {"WORKER_QUEUE__NAME": "{video}"}),
        ("w:low", {"WORKER_QUEUE__LANES": "w:high,w:low"}),
        ("{w:low}", {"WORKER_QUEUE__LANES": "w:high,w:low"}),
        ("{w:high}:ready", {"WORKER_QUEUE__LANES": "w:high,w:low"}),
        ("academy-video-delete-r2", {}),
    ],
)
def test_dead_letters_are_pushed_to_no_list_that_is_read(letters: str, more: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as raised:
        load({**REDIS, **more, "WORKER_QUEUE__DEAD_LETTER_LIST": letters})
    assert f"WORKER_QUEUE__DEAD_LETTER_LIST={letters} belongs to the queue of WORKER_" in raised.value.message
    assert "a list of its own" in str(raised.value.fix)


@pytest.mark.parametrize("letters", ["worker:dead_letter", "video:dead", "{video}:dead", "w"])
def test_a_list_of_their_own_is_taken(letters: str) -> None:
    more = {"WORKER_QUEUE__LANES": "w:high,w:low", "WORKER_QUEUE__DEAD_LETTER_LIST": letters}
    assert load({**REDIS, **more}).queue.dead_letter_list == letters
    del more["WORKER_QUEUE__LANES"]
    assert load({**REDIS, **more}).queue.dead_letter_list == letters


@pytest.mark.parametrize("lanes", ["a,b,a", "a,{a}", "a,{a}:claiming"])
def test_lanes_have_no_key_in_common(lanes: str) -> None:
    with pytest.raises(ConfigError, match="WORKER_QUEUE__LANES names a list twice"):
        load({**REDIS, "WORKER_QUEUE__LANES": lanes})
