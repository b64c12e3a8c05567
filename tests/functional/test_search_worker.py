"""The search index through a real worker process and the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from src.domain.job import JobState
from src.infrastructure.db.content_tables import media_contents
from tests.functional.fleet import Fleet
from tests.servers.meili import MASTER, SEARCH_KEY, MeiliServer

ROWS: tuple[Mapping[str, Any], ...] = (
    {
        "id": "c-1",
        "title": "2024 WSOP 메인이벤트",
        "year": 2024,
        "brand": "WSOP",
        "view_count": 5,
        "players": ["홍진호"],
    },
    {"id": "c-2", "title": "World Poker Tour", "year": 2023, "brand": "WPT", "view_count": 9, "file_path": "raw/2.mkv"},
)


def fill(fleet: Fleet) -> None:
    def run(connection: Any) -> None:
        for row in ROWS:
            connection.execute(media_contents.insert().values(**row))

    fleet.adapters.database().write(run)


def ask(fleet: Fleet, name: str, payload: Mapping[str, Any]) -> None:
    body = {"id": name, "type": "index", "payload": payload, "created_at": "2025-12-20T10:00:00Z"}
    fleet.publish(json.dumps(body).encode(), key=name)


def hits(fleet: Fleet, *arguments: str) -> list[str]:
    done = fleet.cli("search", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return [hit["id"] for hit in json.loads(done.stdout)]


@pytest.mark.parametrize("backend", ["embedded", "meilisearch"])
def test_contents_are_indexed_by_jobs_and_found_from_the_command_line(fleet: Fleet, backend: str) -> None:
    server = MeiliServer().start()
    if backend == "meilisearch":
        fleet.settings = {
            "WORKER_SEARCH__BACKEND": backend,
            "WORKER_SEARCH__URL": server.url,
            "WORKER_SEARCH__API_KEY": MASTER,
        }
    try:
        fill(fleet)
        ask(fleet, "one", {"content_id": "c-1"})
        ask(fleet, "gone", {"content_id": "c-404"})
        ask(fleet, "broken", {"content_id": "c-1", "all": True})
        ask(fleet, "all", {"all": True})
        ask(fleet, "removed", {"content_id": "c-405", "removed": True})
        assert fleet.drain() == 0
        assert fleet.job("one").result == {"content_id": "c-1", "indexed": True}
        assert fleet.job("gone").result == {"content_id": "c-404", "indexed": False}
        assert fleet.job("all").result == {"indexed": 2, "changed_meanwhile": 0}
        assert fleet.job("removed").state is JobState.SUCCEEDED
        assert sorted(hits(fleet)) == ["c-1", "c-2"]
        assert hits(fleet, "메인", "--filter", "year=2024") == ["c-1"]
        assert hits(fleet, "--sort", "view_count:desc", "--limit", "1") == ["c-2"]
        shown = fleet.cli("search", "poker").stdout
        assert "World Poker Tour" in shown
        assert "raw/2.mkv" not in shown + fleet.cli("search", "--json").stdout
        signs = fleet.cli("search", "😀")
        assert (signs.returncode, signs.stdout.strip()) == (0, "No hits.")
        assert "no word to search for" in signs.stderr
        assert MASTER not in fleet.log()
    finally:
        server.close()


def test_an_index_that_can_not_be_used_keeps_a_worker_from_starting(fleet: Fleet) -> None:
    server = MeiliServer().start()
    settings = {"WORKER_SEARCH__BACKEND": "meilisearch", "WORKER_SEARCH__URL": server.url}
    try:
        fleet.settings = {**settings, "WORKER_SEARCH__API_KEY": SEARCH_KEY}
        assert fleet.drain() == 4
        assert "may not: documents.add" in fleet.log()
        doctor = fleet.cli("doctor")
        assert doctor.returncode == 4
        assert "FAIL  search" in doctor.stdout
        assert SEARCH_KEY not in fleet.log() + doctor.stdout + doctor.stderr
    finally:
        server.close()
    fleet.settings = {**settings, "WORKER_SEARCH__API_KEY": MASTER}
    away = fleet.cli("doctor")
    assert away.returncode == 7, away.stdout
    assert fleet.cli("search", "x").returncode == 7


@pytest.mark.parametrize(
    "arguments",
    [("--filter", "year"), ("--filter", "title=x"), ("--sort", "year:up"), ("--sort", "brand"), ("--limit", "0")],
)
def test_a_search_by_what_is_not_there_is_a_usage_error(fleet: Fleet, arguments: tuple[str, ...]) -> None:
    assert fleet.cli("search", "x", *arguments).returncode == 2


def test_searching_before_anything_was_indexed_finds_nothing_and_makes_nothing(fleet: Fleet) -> None:
    done = fleet.cli("search", "x")
    assert (done.returncode, done.stdout.strip()) == (0, "No hits.")
    assert "there is no search index at" in done.stderr
    assert "check WORKER_DATA_DIR" in done.stderr
    as_json = fleet.cli("search", "x", "--json")
    assert (as_json.stdout.strip(), "no search index" in as_json.stderr) == ("[]", True)
    assert not fleet.folder.exists()
    assert "ok    search " not in fleet.cli("doctor").stdout, "who has set up no search is not asked about it"


def test_a_text_that_begins_with_a_dash_is_told_how_it_is_written(fleet: Fleet) -> None:
    for arguments in (("-demo",), ("--demo", "--json")):
        refused = fleet.cli("search", *arguments)
        assert (refused.returncode, "search -- -demo" in refused.stderr) == (2, True), refused.stderr
    assert fleet.cli("search", "--", "-demo").returncode == 0
