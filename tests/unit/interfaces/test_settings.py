"""Settings: read whole, refused whole, shown without their secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from src.application.catalog import Catalog
from src.domain.errors import ConfigError
from src.interfaces.cli.config import config
from src.interfaces.wiring import reference
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.aliases import ALIASES, REDIS_PARTS, aliased
from src.interfaces.wiring.environment import fields, load, load_with_origins, variable
from src.interfaces.wiring.queues import shown_queue

ROOT = Path(__file__).resolve().parents[3]

ACCEPTED = [
    "WORKER_DATA_DIR",
    "WORKER_SCRATCH_DIR",
    "WORKER_QUEUE__BACKEND",
    "WORKER_QUEUE__URL",
    "WORKER_QUEUE__NAME",
    "WORKER_DATABASE__URL",
    "WORKER_REDIS__URL",
    "WORKER_LOCK__BACKEND",
    "WORKER_PROGRESS__BACKEND",
    "WORKER_STORAGE__BACKEND",
    "WORKER_STORAGE__BUCKET",
    "WORKER_STORAGE__PREFIX",
    "WORKER_AWS__ENDPOINT_URL",
    "WORKER_AWS__REGION",
    "WORKER_FFMPEG__PATH",
    "WORKER_LEASE__TTL_SECONDS",
    "WORKER_LEASE__SCAN_SECONDS",
    "WORKER_SHUTDOWN__GRACE_SECONDS",
    "WORKER_VIDEO__STALL_SECONDS",
]
"""mission.md, Names."""


def test_nothing_set_is_the_embedded_default() -> None:
    settings = load({})
    assert (settings.queue.backend, settings.lock.backend, settings.progress.backend) == (
        "sqlite",
        "database",
        "database",
    )
    assert settings.storage_root == Path(".mediaworker/storage").absolute()
    assert settings.scratch_path == Path(".mediaworker/scratch").absolute()
    assert settings.database_url == f"sqlite:///{Path('.mediaworker/mediaworker.db').absolute()}"


def test_every_name_that_the_mission_promises_is_a_setting() -> None:
    assert set(ACCEPTED) <= {variable(setting) for setting, _field in fields()}


def test_a_nested_variable_reaches_its_setting() -> None:
    settings = load(
        {"WORKER_LEASE__TTL_SECONDS": "5", "WORKER_VIDEO__STORYBOARD": "no", "WORKER_JOBS__MODULES": "a.b, c"}
    )
    assert settings.lease.ttl_seconds == 5
    assert settings.video.storyboard is False
    assert settings.jobs.modules == ("a.b", "c")


def test_an_empty_variable_is_unset() -> None:
    assert load({"WORKER_QUEUE__BACKEND": "", "FFMPEG_BIN": ""}).queue.backend == "sqlite"


@pytest.mark.parametrize("written", ["a/b", "/a/b/"])
def test_a_storage_prefix_is_a_folder_before_every_key(tmp_path: Path, written: str) -> None:
    settings = load({"WORKER_DATA_DIR": str(tmp_path), "WORKER_STORAGE__PREFIX": written})
    storage = build(settings, Catalog(())).storage()
    storage.put_bytes("tenants/t1/x.txt", b"x", content_type="text/plain", cache_control="")
    assert (tmp_path / "storage" / "a" / "b" / "tenants" / "t1" / "x.txt").read_bytes() == b"x"
    assert [stored.key for stored in storage.list("")] == ["tenants/t1/x.txt"]


@pytest.mark.parametrize("prefix", ["../other", "a//b", "a/../../b", "a\\b", "a\nb"])
def test_t12_a_storage_prefix_is_checked_like_a_key(prefix: str) -> None:
    with pytest.raises(ConfigError, match="WORKER_STORAGE__PREFIX"):
        load({"WORKER_STORAGE__PREFIX": prefix})


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({}, "video"),
        ({"WORKER_QUEUE__NAME": "films"}, "films"),
        (
            {"WORKER_QUEUE__BACKEND": "sqs", "WORKER_QUEUE__URL": "https://sqs.eu-west-1.amazonaws.com/123/films.fifo"},
            "films.fifo",
        ),
        ({"WORKER_QUEUE__BACKEND": "sqs", "WORKER_QUEUE__NAME": "films"}, "films"),
        ({"WORKER_QUEUE__BACKEND": "sqlite", "WORKER_QUEUE__URL": "sqlite:////data/q.db"}, "video"),
    ],
)
def test_the_queue_is_shown_by_the_name_that_it_goes_by(environ: dict[str, str], shown: str) -> None:
    assert shown_queue(load(environ)) == shown


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load({}).queue.name = "other"


def test_lesson_27_an_unknown_variable_stops_the_start_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="WORKER_QUEUE__BACKND is not a setting; did you mean WORKER_QUEUE__BACKEND"):
        load({"WORKER_QUEUE__BACKND": "sqs"})


@pytest.mark.parametrize("name", ["WORKER_FOO", "WORKER_X", "WORKER_REGION_OF_NOTHING"])
def test_an_unknown_variable_like_no_setting_gets_no_far_fetched_suggestion(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load({name: "1"})
    assert raised.value.message == f"{name} is not a setting"
    assert "mediaworker config schema" in str(raised.value.fix)


def test_lesson_27_a_value_that_cannot_be_read_stops_the_start() -> None:
    with pytest.raises(ConfigError, match=r"WORKER_LEASE__TTL_SECONDS.*number"):
        load({"WORKER_LEASE__TTL_SECONDS": "thirty"})


@pytest.mark.parametrize(
    "setting", ["QUEUE__LANES", "EVENTS__CHANNELS", "EVENTS__LISTEN", "EVENTS__SINKS", "JOBS__MODULES"]
)
@pytest.mark.parametrize("value", [",", " ", " , ,"])
def test_a_list_that_names_nothing_is_not_one_that_is_unset(setting: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"WORKER_{setting}: .* names nothing"):
        load({f"WORKER_{setting}": value})


def test_lesson_27_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        load({"WORKER_QUEUE__BACKEND": "rabbit", "WORKER_CONCURRENCY": "0", "WORKER_VIDEO__LADDER": "{"})
    for name in ("WORKER_QUEUE__BACKEND", "WORKER_CONCURRENCY", "WORKER_VIDEO__LADDER"):
        assert name in raised.value.message
    assert raised.value.fix


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"WORKER_LOCK__BACKEND": "redis"}, "WORKER_LOCK__BACKEND=redis needs WORKER_REDIS__URL"),
        ({"WORKER_STORAGE__BACKEND": "s3"}, "WORKER_STORAGE__BACKEND=s3 needs WORKER_STORAGE__BUCKET"),
        ({"WORKER_STORAGE__ACCESS_KEY": "id-only"}, "WORKER_STORAGE__SECRET_KEY belong together"),
        (
            {"WORKER_VIDEO__CHUNK_SECONDS": "2"},
            "WORKER_VIDEO__CHUNK_SECONDS is shorter than WORKER_VIDEO__SEGMENT_SECONDS",
        ),
    ],
)
def test_settings_that_contradict_each_other_stop_the_start(environ: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(environ)
    assert words in raised.value.message


def test_a_refused_value_is_not_repeated_because_it_may_be_a_secret() -> None:
    with pytest.raises(ConfigError) as raised:
        load({"WORKER_LEASE__TTL_SECONDS": "hunter22", "WORKER_STORAGE__ACCESS_KEY": "hunter33"})
    assert "hunter" not in str(raised.value)


def test_kubernetes_service_links_are_told_apart_from_typing_errors() -> None:
    with pytest.raises(ConfigError, match="enableServiceLinks"):
        load({"WORKER_PORT_8080_TCP_ADDR": "10.0.0.1"})


def test_an_alias_is_used_and_named() -> None:
    loaded = load_with_origins({"VIDEO_SQS_QUEUE_NAME": "academy-video-jobs", "FFMPEG_BIN": "/opt/ffmpeg"})
    assert loaded.settings.queue.name == "academy-video-jobs"
    assert loaded.settings.ffmpeg_path == "/opt/ffmpeg"
    assert loaded.origins["queue.name"].variable == "VIDEO_SQS_QUEUE_NAME"
    assert loaded.origins["queue.name"].alias


def test_our_own_name_wins_over_an_alias() -> None:
    loaded = load_with_origins({"VIDEO_SQS_QUEUE_NAME": "old", "WORKER_QUEUE__NAME": "new"})
    assert loaded.settings.queue.name == "new"
    assert not loaded.origins["queue.name"].alias


def test_redis_parts_make_one_url_with_the_password_escaped() -> None:
    found = aliased({"REDIS_HOST": "cache", "REDIS_PORT": "6380", "REDIS_PASSWORD": "p@/w", "REDIS_DB": "2"})
    assert found["redis.url"] == ("REDIS_HOST", "redis://:p%40%2Fw@cache:6380/2")


def test_a_redis_password_without_a_host_means_nothing() -> None:
    assert "redis.url" not in aliased({"REDIS_PASSWORD": "x", "REDIS_PORT": "1"})


def test_lesson_28_object_store_and_aws_never_share_a_secret() -> None:
    settings = load(
        {"R2_ACCESS_KEY": "store-id", "R2_SECRET_KEY": "store-secret", "R2_ENDPOINT": "https://r2", "AWS_REGION": "eu"}
    )
    assert settings.storage.secret_key is not None
    assert settings.storage.secret_key.get_secret_value() == "store-secret"
    assert (settings.storage.endpoint_url, settings.aws.endpoint_url, settings.aws.region) == ("https://r2", None, "eu")
    owners = [name for names in ALIASES.values() for name in names]
    assert len(owners) == len(set(owners))


def test_every_alias_belongs_to_a_setting() -> None:
    assert set(ALIASES) <= {setting for setting, _field in fields()}
    assert len(REDIS_PARTS) == 4


def test_t22_settings_in_effect_are_shown_without_secrets() -> None:
    loaded = load_with_origins(
        {
            "WORKER_REDIS__URL": "redis://user:canary1@cache:6379/0",
            "WORKER_DATABASE__URL": "postgresql://user:canary2@db/jobs?password=canary3",
            "R2_ACCESS_KEY": "canary4",
            "R2_SECRET_KEY": "canary5",
            "WORKER_AWS__ENDPOINT_URL": "https://user:canary6@aws",
        }
    )
    shown = json.dumps(list(reference.effective(loaded)))
    assert "canary" not in shown
    assert "canary" not in repr(loaded.settings).replace("https://user:canary6@aws", "")
    assert "@cache:6379/0" in shown


def test_the_settings_page_is_current() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert page == reference.markdown(), "run: mediaworker config schema --markdown > docs/settings.md"


def test_every_setting_is_explained() -> None:
    assert [row["setting"] for row in reference.rows() if len(row["description"]) < 10] == []


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("WORKER_DATABASE__URL", "postgresql://app:canary@canary@db/jobs"),
        ("WORKER_DATABASE__URL", "postgresql://app:canary/canary@db/jobs"),
        ("WORKER_DATABASE__URL", "postgresql://canary/canary:x@db/jobs"),
        ("WORKER_QUEUE__URL", "postgresql+psycopg://app:can@ary/canary@db/jobs"),
        ("WORKER_REDIS__URL", "redis://:canary/canary@cache:6379/0"),
        ("WORKER_REDIS__URL", "redis://:canary?canary@cache:6379/0"),
        ("WORKER_REDIS__URL", "redis://:canary#canary@cache:6379/0"),
    ],
)
def test_t22_a_password_that_is_not_percent_encoded_is_refused_without_showing_it(name: str, address: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load({name: address})
    assert name in raised.value.message
    assert "%2F" in raised.value.message
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("WORKER_DATABASE__URL", "postgresql://app:a%40b%2Fc@db,other:5432/jobs?options=-c%20x"),
        ("WORKER_DATABASE__URL", "postgresql://app:a?b#c@db/jobs"),
        ("WORKER_DATABASE__URL", "postgresql:///jobs?host=/run/a@b"),
        ("WORKER_DATABASE__URL", "sqlite:////data/a@b/jobs.db"),
        ("WORKER_REDIS__URL", "redis://:a@b@cache:6379/0"),
        ("WORKER_REDIS__URL", "redis+sentinel://[::1]:26379,other/name/0?sentinel_password=a@b"),
        ("WORKER_REDIS__URL", "unix:///run/a@b.sock"),
        ("WORKER_QUEUE__URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/video"),
    ],
)
def test_an_address_that_can_be_told_apart_is_taken(name: str, address: str) -> None:
    assert load({name: address}).environment


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("EVENTS__SINKS", "redis,foo", "WORKER_EVENTS__SINKS: 'foo' is none of 'redis', 'stream', 'webhook', 'log'"),
        ("EVENTS__LISTEN", "kafka", "WORKER_EVENTS__LISTEN: 'kafka' is none of 'pubsub', 'stream'"),
        ("LOCK__BACKEND", "zoo", "WORKER_LOCK__BACKEND: 'zoo' is none of 'database', 'memory', 'redis'"),
        ("LEDGER__NAME", "{a}", "WORKER_LEDGER__NAME: '{a}' is no name that keys can begin with: "),
    ],
)
def test_a_wrong_word_is_said_beside_the_variable_and_what_is_allowed(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load({f"WORKER_{name}": value})
    assert raised.value.message.startswith(said)
    assert "events.sinks." not in raised.value.message


def test_a_wrong_word_shows_no_password_and_moves_no_cursor() -> None:
    with pytest.raises(ConfigError) as raised:
        load({"WORKER_QUEUE__BACKEND": "redis://:canary@h/0\x1b[2J"})
    assert "canary" not in raised.value.message
    assert "\x1b" not in raised.value.message


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("WORKER_EVENTS__WEBHOOK_URL", "https://user:canary@api.example/hook"),
        ("WORKER_EVENTS__WEBHOOK_URL", "https://user:password@api.example/hook"),
        ("WORKER_EVENTS__WEBHOOK_URL", "https://user:can/canary@api.example/hook"),
        ("WORKER_EVENTS__WEBHOOK_URL", "https://user:x@canary/canary@api.example/hook"),
        ("WORKER_EVENTS__WEBHOOK_URL", "https://api.example/hook?token=canary"),
        ("WORKER_STORAGE__ENDPOINT_URL", "https://user:canary@r2.example"),
        ("WORKER_AWS__ENDPOINT_URL", "https://canary@aws.example:1/x"),
        ("WORKER_CONTENT__DATABASE_URL", "postgresql://user:canary@db.example/app?password=canary"),
        ("WORKER_CONTENT__DATABASE_URL", "postgresql://user:can/canary@db.example/app"),
        ("WORKER_NOTIFY__WEBHOOK_URL", "https://user:canary@chat.example/x"),
        ("WORKER_NOTIFY__WEBHOOK_URL", "https://chat.example/services/T0/B0/canary"),
        ("WORKER_REDIS__URL", "redis+sentinel://u:can@canary@[::1]:1,host.example:2/name/0?sentinel_password=canary"),
        ("WORKER_QUEUE__URL", "postgresql://user:canary@db.example/q"),
    ],
)
def test_t22_no_address_is_shown_with_its_password(name: str, address: str) -> None:
    more = {"WORKER_NOTIFY__WEBHOOK_SECRET": "whsec_x"} if "NOTIFY" in name else {}
    loaded = load_with_origins({name: address, **more})
    shown = next(str(row["value"]) for row in reference.effective(loaded) if row["variable"] == name)
    assert ".example" in shown
    assert not any(word in shown for word in ("canary", "password@", "user"))


def test_an_address_without_a_login_is_shown_whole() -> None:
    for address in (
        "https://api.example:8443/a@b?c=1",
        "sqlite:////data/a@b.db",
        "https://[::1]:1/x",
        "/srv/x@y",
        "a:b",
    ):
        assert reference.shown_address(address) == address


def test_a_list_is_shown_as_it_would_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_JOBS__MODULES", "a.b, c")
    shown = CliRunner().invoke(config, ["show", "--set"], catch_exceptions=False).stdout
    assert "a.b,c " in shown
    printed = CliRunner().invoke(config, ["show", "--set", "--json"], catch_exceptions=False).stdout
    assert [row["value"] for row in json.loads(printed) if row["setting"] == "jobs.modules"] == [["a.b", "c"]]
