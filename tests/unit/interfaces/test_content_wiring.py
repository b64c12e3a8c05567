"""The content worker's settings, and what its start asks for."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path

import pytest

from src.application.ports.content import ContentUnavailable
from src.domain.errors import ConfigError
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.assemble import build_catalog, check_handlers
from src.interfaces.wiring.checks import check_cache, check_platform
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.settings import Settings
from tests.servers.platform_api import TOKEN, PlatformApi


def made(folder: Path, **more: str) -> tuple[Settings, Adapters]:
    settings = load(
        {"WORKER_DATA_DIR": str(folder), **{f"WORKER_CONTENT__{name}": value for name, value in more.items()}}
    )
    return settings, build(settings, build_catalog(settings))


def test_the_jobs_of_the_seed_are_registered_and_their_ports_are_there(tmp_path: Path) -> None:
    settings, _adapters = made(tmp_path)
    catalog = build_catalog(settings)
    assert {"thumbnail", "metadata", "cache_warm", "cleanup", "daily_statistics"} <= set(catalog.names())
    assert check_handlers(settings, catalog) == len(catalog.names())


def test_the_records_of_a_fresh_data_directory_are_made_when_the_worker_starts(tmp_path: Path) -> None:
    settings, adapters = made(tmp_path)
    assert "media_contents" in check_platform(settings, adapters)
    assert "is writable" in check_cache(settings, adapters)
    assert (tmp_path / "cache").is_dir()
    adapters.contents().update_metadata("c-1", {"file_size": 7})
    assert adapters.contents().get("c-1")["file_size"] == 7
    adapters.database().close()


def test_a_table_that_is_not_there_is_found_before_the_first_job(tmp_path: Path) -> None:
    settings, adapters = made(tmp_path, TABLE="films")
    with pytest.raises(ConfigError, match=r"films.*WORKER_CONTENT__TABLE"):
        check_platform(settings, adapters)
    adapters.database().close()


def test_a_drive_that_is_not_mounted_is_told_and_the_worker_starts(tmp_path: Path) -> None:
    settings, adapters = made(tmp_path, MEDIA_ROOT=str(tmp_path / "nas"))
    assert check_platform(settings, adapters).startswith("warning:")


def test_in_a_table_of_the_platform_s_own_no_record_is_made(tmp_path: Path) -> None:
    for more in ({"TABLE": "films"}, {"COLUMNS": '{"id": "no"}'}, {"DATABASE_URL": f"sqlite:///{tmp_path / 'x.db'}"}):
        _settings, adapters = made(tmp_path, **more)
        assert not adapters.contents().makes_records
    assert made(tmp_path)[1].contents().makes_records


def test_the_api_s_token_is_handed_over_and_shown_nowhere(tmp_path: Path) -> None:
    more = {"BACKEND": "http", "SESSIONS_BACKEND": "http", "URL": "https://api.example/v1", "TOKEN": "s3cr3t-word"}
    settings, adapters = made(tmp_path, **more)
    assert adapters.contents().api.token == "s3cr3t-word"
    assert adapters.sessions().api.url == "https://api.example/v1"
    assert "s3cr3t-word" not in f"{settings!r}{adapters.contents()!r}{adapters.sessions()!r}"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"BACKEND": "http"}, "WORKER_CONTENT__URL"),
        ({"SESSIONS_BACKEND": "http"}, "WORKER_CONTENT__URL"),
        ({"URL": "https://user:word@api.example"}, "token has a setting"),
        ({"URL": "ftp://api.example"}, "WORKER_CONTENT__URL"),
        ({"MEDIA_ROOT": "nas"}, "absolute"),
        ({"TABLE": "films; DROP TABLE x"}, "WORKER_CONTENT__TABLE: 'films; DROP TABLE x' is no name that a table"),
        ({"SESSIONS_KEY": 'a"b'}, "WORKER_CONTENT__SESSIONS_KEY"),
        ({"COLUMNS": "[1]"}, "WORKER_CONTENT__COLUMNS"),
        ({"COLUMNS": "{"}, "WORKER_CONTENT__COLUMNS"),
        ({"COLUMNS": '{"id": "a b"}'}, "WORKER_CONTENT__COLUMNS"),
        ({"VIEWS_COLUMNS": '{"id": 7}'}, "WORKER_CONTENT__VIEWS_COLUMNS"),
        ({"TIME_ZONE": "Mars/Olympus"}, "WORKER_CONTENT__TIME_ZONE"),
        ({"CACHE_BYTES": "0"}, "WORKER_CONTENT__CACHE_BYTES"),
    ],
)
def test_settings_that_can_not_be_are_refused_by_name(tmp_path: Path, more: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as refused:
        made(tmp_path, **more)
    assert "word@" not in str(refused.value)


def test_an_api_is_really_asked(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/api"
        settings, adapters = made(tmp_path, BACKEND="http", URL=url)
        with pytest.raises(ContentUnavailable, match="WORKER_CONTENT__URL"):
            check_platform(settings, adapters)
    platform = PlatformApi().start()
    try:
        settings, adapters = made(tmp_path, BACKEND="http", URL=platform.url, TOKEN=TOKEN)
        assert f"records at {platform.url}" in check_platform(settings, adapters)
        settings, adapters = made(tmp_path, BACKEND="http", URL=platform.url, TOKEN="other")
        with pytest.raises(ConfigError, match=r"401.*WORKER_CONTENT__TOKEN"):
            check_platform(settings, adapters)
        settings, adapters = made(tmp_path, BACKEND="http", URL=f"{platform.url}/v9", TOKEN=TOKEN)
        with pytest.raises(ConfigError, match=r"404.*WORKER_CONTENT__URL"):
            check_platform(settings, adapters)
    finally:
        platform.close()


@pytest.mark.parametrize("more", [{"VIEWS_TABLE": "nope"}, {"SESSIONS_TABLE": "nope"}, {"SESSIONS_KEY": "nope"}])
def test_sessions_and_views_are_tried_too(tmp_path: Path, more: dict[str, str]) -> None:
    settings, adapters = made(tmp_path, **more)
    with pytest.raises(ConfigError, match=f"WORKER_CONTENT__{next(iter(more))}"):
        check_platform(settings, adapters)


def test_a_platform_s_database_need_not_have_tables_that_nobody_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'platform.db'}"
    with sqlite3.connect(tmp_path / "platform.db") as connection:
        columns = "id, duration_seconds, video_codec, audio_codec, resolution, file_size"
        connection.execute(f"CREATE TABLE films ({columns})")
    settings, adapters = made(tmp_path, DATABASE_URL=url, TABLE="films")
    assert check_platform(settings, adapters).count("warning: there is no table") == 2
    settings, adapters = made(tmp_path, DATABASE_URL=url, TABLE="films", VIEWS_TABLE="media_views")
    with pytest.raises(ConfigError, match="WORKER_CONTENT__VIEWS_TABLE"):
        check_platform(settings, adapters)
