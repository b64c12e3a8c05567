"""Rebuilds and writers of one embedded index that are killed all the time, while others read."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from src.application.ports.search import Query, SearchUnavailable
from src.infrastructure.search.embedded import EmbeddedSearchIndex

pytestmark = pytest.mark.chaos

FORK = multiprocessing.get_context("fork")
FILMS = 250
SECONDS = 30.0


def an_index(folder: Path) -> EmbeddedSearchIndex:
    return EmbeddedSearchIndex(path=folder / "search.db", busy_seconds=10)


def rebuild(folder: Path, version: int) -> None:
    with an_index(folder).rebuild() as build:
        for start in range(0, FILMS, 50):
            build.add([{"id": f"f-{number}", "title": f"version {version}"} for number in range(start, start + 50)])
        build.publish()


def write(folder: Path, version: int) -> None:
    for number in range(100):
        an_index(folder).put([{"id": f"w-{version}-{number}", "title": "written"}])


def whole(folder: Path) -> int:
    """The version that is read; every film of it must be there, and none of another."""
    hits = an_index(folder).search(Query(text="version", limit=1000))
    titles = {str(hit["title"]) for hit in hits}
    assert (len(hits), len(titles)) == (FILMS, 1)
    return int(titles.pop().split()[1])


def test_readers_see_whole_versions_whoever_is_killed(tmp_path: Path) -> None:
    dice = random.Random(17)
    rebuild(tmp_path, 0)
    until, version, killed, seen = time.monotonic() + SECONDS, 0, 0, set[int]()
    while time.monotonic() < until:
        version += 1
        workers = [FORK.Process(target=run, args=(tmp_path, version)) for run in (rebuild, write, write)]
        for worker in workers:
            worker.start()
        stop = time.monotonic() + dice.uniform(0.0, 1.5)
        while time.monotonic() < stop:
            seen.add(whole(tmp_path))
        for worker in workers:
            killed += worker.is_alive()
            worker.kill()
            worker.join()
        seen.add(whole(tmp_path))
    assert killed > 10
    assert len(seen) > 1, "no rebuild ever ended: nothing was proved"
    rebuild(tmp_path, -1)
    assert whole(tmp_path) == -1


def test_of_rebuilds_at_the_same_time_one_wins_and_the_others_say_so(tmp_path: Path) -> None:
    def contend(version: int) -> None:
        for _ in range(50):
            try:
                rebuild(tmp_path, version)
            except SearchUnavailable:
                continue
            return
        raise AssertionError("never got through")

    workers = [FORK.Process(target=contend, args=(version,)) for version in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert whole(tmp_path) in range(3)
