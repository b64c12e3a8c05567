"""Clean-up has folders of its own: what somebody needs is in none of them, by no name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from src.application.ports.sweeper import Cleanable
from src.domain.errors import ConfigError, Permanent
from src.infrastructure.clock import SystemClock
from src.infrastructure.storage.old_files import OldFilesOnDisk
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.settings import Settings

SHORT = {"TEMP": "WORKER_CONTENT__TEMP_DIR", "LOG": "WORKER_CONTENT__LOG_DIR", "CACHE": "WORKER_CONTENT__CACHE_DIR"}
SHORT |= {"MEDIA": "WORKER_CONTENT__MEDIA_ROOT", "STORAGE": "WORKER_STORAGE__ROOT", "SCRATCH": "WORKER_SCRATCH_DIR"}
SHORT |= {"DB": "WORKER_DATABASE__URL", "PLATFORM": "WORKER_CONTENT__DATABASE_URL", "CRON": "WORKER_CRON__FILE"}


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {
        "WORKER_DATA_DIR": str(folder / "data"),
        **{SHORT[name]: value.replace("~", str(folder)) for name, value in more.items()},
    }


def made(folder: Path, **more: str) -> tuple[Settings, Adapters]:
    settings = load(environment(folder, **more))
    return settings, build(settings, build_catalog(settings))


def aged(path: Path, days: float = 40.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    os.utime(path, (path.stat().st_mtime - days * 86_400,) * 2)
    return path


@pytest.mark.parametrize(
    "more",
    [
        *({name: "/"} for name in ("TEMP", "LOG", "CACHE")),
        *({name: "~/data"} for name in ("TEMP", "LOG", "CACHE")),
        *({name: "~/films", "MEDIA": "~/films"} for name in ("TEMP", "LOG", "CACHE")),
        *({name: "~"} for name in ("TEMP", "LOG")),
        {"TEMP": "~/films/temp", "MEDIA": "~/films"},
        {"CACHE": "~/films/cache", "MEDIA": "~/films"},
        {"TEMP": "~/srv", "MEDIA": "~/srv/films"},
        {"TEMP": "~/data/storage/raw"},
        {"TEMP": "~/objects", "STORAGE": "~/objects"},
        {"TEMP": "~/data/scratch"},
        {"TEMP": "~/jobs/old", "SCRATCH": "~/jobs"},
        {"TEMP": "~/data/cache"},
        {"TEMP": "~/data/cache/hot"},
        {"LOG": "~/data/cache/thumbnails"},
        {"TEMP": "~/temp", "LOG": "~/temp"},
        {"TEMP": "~/temp", "LOG": "~/temp/logs"},
        {"TEMP": "~/temp/t", "LOG": "~/temp"},
        {"LOG": "~/db", "DB": "sqlite:///~/db/jobs.db"},
        {"TEMP": "~/db", "PLATFORM": "sqlite:///~/db/jobs.db"},
        {"TEMP": "~/etc", "CRON": "~/etc/crontab"},
        {"TEMP": "~/films/../data", "MEDIA": "~/films"},
        {"TEMP": str(Path(__file__).parents[3])},
    ],
)
def test_a_folder_that_is_cleaned_holds_nothing_that_somebody_needs(tmp_path: Path, more: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"WORKER_CONTENT__(TEMP|LOG|CACHE)_DIR=.* is cleaned up") as raised:
        load(environment(tmp_path, **more))
    assert "to a folder that holds nothing else" in str(raised.value.fix)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"MEDIA": "~"},
        {"STORAGE": "~/data"},
        {"TEMP": "~/data/temp", "LOG": "~/data/logs", "CACHE": "~/data/tier", "MEDIA": "~/films"},
        {"TEMP": "~/temp", "LOG": "~/logs", "CACHE": "~/ssd", "MEDIA": "~/films"},
        {"TEMP": "~/data/storage-temp", "LOG": "~/filmslogs", "MEDIA": "~/films"},
        {"LOG": "~/db-logs", "DB": "sqlite:///~/db/jobs.db"},
    ],
)
def test_folders_of_their_own_are_taken(tmp_path: Path, more: dict[str, str]) -> None:
    load(environment(tmp_path, **more))


@pytest.mark.parametrize(
    ("link", "to", "more"),
    [
        ("temp", "films", {"TEMP": "~/temp", "MEDIA": "~/films"}),
        ("films", "temp", {"TEMP": "~/temp", "MEDIA": "~/films"}),
        ("data/cache/hot", "films", {"MEDIA": "~/films"}),
        ("data/cache", "films", {"MEDIA": "~/films"}),
        ("data/storage", "temp", {"TEMP": "~/temp"}),
        ("link", "data", {"TEMP": "~/link/storage"}),
    ],
)
def test_a_link_hides_nothing(tmp_path: Path, link: str, to: str, more: dict[str, str]) -> None:
    for name in (to, "data"):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / to)
    with pytest.raises(ConfigError, match="is cleaned up"):
        load(environment(tmp_path, **more))


def test_a_tier_on_another_disk_by_a_link_is_taken(tmp_path: Path) -> None:
    (tmp_path / "ssd").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cache").symlink_to(tmp_path / "ssd")
    load(environment(tmp_path, MEDIA="~/films"))


def test_a_circle_of_links_is_no_trap(tmp_path: Path) -> None:
    (tmp_path / "temp").symlink_to(tmp_path / "temp")
    load(environment(tmp_path, TEMP="~/temp"))


def test_an_executor_does_not_ask_a_drive_that_may_hang(tmp_path: Path) -> None:
    load(environment(tmp_path, TEMP="/"), folders=False)


@pytest.mark.parametrize("target", ["films", "data/storage", "data"])
def test_a_folder_that_became_a_link_later_keeps_its_films(tmp_path: Path, target: str) -> None:
    film = aged(tmp_path / target / "film.log")
    (tmp_path / "temp").mkdir()
    (tmp_path / "logs").mkdir()
    _settings, adapters = made(tmp_path, TEMP="~/temp", LOG="~/logs", MEDIA="~/films")
    for name in ("temp", "logs"):
        (tmp_path / name).rmdir()
        (tmp_path / name).symlink_to(tmp_path / target)
    with pytest.raises(Permanent, match=r"nothing was removed: WORKER_CONTENT__TEMP_DIR") as raised:
        adapters.old_files().remove_old_temp()
    assert "links and mounts of WORKER_CONTENT__TEMP_DIR" in str(raised.value.fix)
    with pytest.raises(Permanent, match=r"WORKER_CONTENT__LOG_DIR"):
        adapters.old_files().remove_old_logs()
    assert film.exists()


def test_a_tier_that_became_a_link_later_keeps_what_it_leads_to(tmp_path: Path) -> None:
    film = aged(tmp_path / "films" / "c-1.mp4")
    _settings, adapters = made(tmp_path, MEDIA="~/films")
    (tmp_path / "data" / "cache").mkdir(parents=True)
    (tmp_path / "data" / "cache" / "hot").symlink_to(tmp_path / "films")
    cache = adapters.cache()
    for removes in (cache.cleanup_old_entries, lambda: cache.forget("c-1")):
        with pytest.raises(Permanent, match="nothing was removed"):
            removes()
    assert film.exists()


def test_old_files_go_where_nothing_is_wrong(tmp_path: Path) -> None:
    old, part = aged(tmp_path / "temp" / "in" / "x"), aged(tmp_path / "data" / "cache" / ".parts" / "half")
    _settings, adapters = made(tmp_path, TEMP="~/temp", MEDIA="~/films")
    assert adapters.old_files().remove_old_temp().files == 2
    assert not old.exists()
    assert not part.exists()


def test_a_kept_folder_or_file_within_is_known_by_what_it_is(tmp_path: Path) -> None:
    """Its name may be another one: a mount."""
    film, other, own = (aged(tmp_path / "temp" / name) for name in ("mounted/film.mp4", "jobs.db", "old"))
    facts = [path.stat() for path in (film.parent, other)]
    files = OldFilesOnDisk(
        clock=SystemClock(),
        logs=None,
        log_seconds=1,
        temp=tmp_path / "temp",
        cache=tmp_path / "cache",
        temp_seconds=86_400,
        guard=lambda folder: Cleanable(folder, frozenset((each.st_dev, each.st_ino) for each in facts)),
    )
    assert files.remove_old_temp().files == 1
    assert (film.exists(), other.exists(), own.exists()) == (True, True, False)


def test_a_folder_that_becomes_a_link_on_the_way_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = aged(tmp_path / "films" / "film.mp4")
    aged(tmp_path / "temp" / "in" / "x")
    opened = os.open

    def swap(place: str | Path, flags: int, *more: int, dir_fd: int | None = None) -> int:
        if place == "in" and not (tmp_path / "temp" / "in").is_symlink():
            (tmp_path / "temp" / "in").rename(tmp_path / "away")
            (tmp_path / "temp" / "in").symlink_to(tmp_path / "films")
        return opened(place, flags, *more, dir_fd=dir_fd)

    files = OldFilesOnDisk(
        clock=SystemClock(),
        logs=None,
        log_seconds=1,
        temp=tmp_path / "temp",
        cache=tmp_path / "cache",
        temp_seconds=86_400,
    )
    monkeypatch.setattr(os, "open", swap)
    swept = files.remove_old_temp()
    assert (swept.files, swept.kept, film.exists()) == (0, 1, True)
