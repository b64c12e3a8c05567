"""Cache warming, clean-up and daily figures as jobs."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from src.application.content.cache_warm import WarmCacheHandler, extension_of
from src.application.content.cleanup import TARGETS, CleanUp, CleanUpHandler, parse_cleanup
from src.application.content.media_files import MediaFiles
from src.application.content.request import ContentFile
from src.application.content.settings import ContentSettings
from src.application.content.statistics import CountDay, DailyStatisticsHandler, parse_daily_statistics
from src.application.outcome import Done, Snooze
from src.application.ports.cache import CacheBusy, CacheCleaned, CopySource, Warmed
from src.domain.content.days import bounds, day_before
from src.domain.errors import FileAccessError, InvalidPayload
from src.infrastructure.memory.contents import MemoryContents
from src.infrastructure.memory.platform import MemorySessions, MemoryStatistics, View
from src.infrastructure.memory.storage import MemoryStorage
from src.infrastructure.storage.old_files import OldFilesOnDisk
from tests.fakes.clock import FrozenClock
from tests.fakes.content import a_run

SEOUL = ZoneInfo("Asia/Seoul")
NEW_YORK = ZoneInfo("America/New_York")


@dataclass
class ScriptedCache:
    """Keeps what it was asked for; busy when told so."""

    busy: bool = False
    copied: dict[str, bytes] = field(default_factory=dict)

    def copy_to_ssd(self, source: CopySource, content_id: str, on_share: Callable[[float], None]) -> Warmed:
        if self.busy:
            raise CacheBusy("scripted", seconds=7)
        self.copied[content_id + source.extension] = source.read(0, source.size)
        on_share(1.0)
        return Warmed(path=f"/cache/hot/{content_id}{source.extension}", size=source.size, evicted=("x",))

    def cleanup_old_entries(self) -> CacheCleaned:
        return CacheCleaned(entries=2, freed_bytes=5)

    def forget(self, content_id: str) -> bool:
        return False


def warming(cache: ScriptedCache, tmp_path: Path) -> Done | Snooze:
    clock = FrozenClock()
    storage = MemoryStorage(clock)
    storage.put_bytes("films/1.mkv", b"film", content_type="video/mp4", cache_control="")
    contents = MemoryContents({"c-1": {"file_path": "films/1.mkv"}})
    handler = WarmCacheHandler(contents, MediaFiles(storage), cache, clock, ContentSettings())
    return handler.handle(ContentFile("c-1", None), a_run(tmp_path))


def test_a_film_is_brought_to_the_tier_under_its_id_and_extension(tmp_path: Path) -> None:
    cache = ScriptedCache()
    outcome = warming(cache, tmp_path)
    assert isinstance(outcome, Done)
    assert cache.copied == {"c-1.mkv": b"film"}
    assert outcome.result == {
        "content_id": "c-1", "path": "/cache/hot/c-1.mkv", "file_size": 4, "was_there": False, "resumed_at": 0,
        "evicted": ["x"],
    }  # fmt: skip


def test_while_somebody_else_copies_it_the_job_waits_and_no_attempt_is_counted(tmp_path: Path) -> None:
    outcome = warming(ScriptedCache(busy=True), tmp_path)
    assert isinstance(outcome, Snooze)
    assert outcome.seconds == 7


@pytest.mark.parametrize(
    ("path", "extension"),
    [("a/b.mp4", ".mp4"), ("/nas/x.MKV", ".MKV"), ("a.b/c", ""), ("a.toolongforone", ""), ("a.m p", ""), ("a.", "")],
)
def test_an_extension_is_a_short_word_at_the_end(path: str, extension: str) -> None:
    assert extension_of(path) == extension


# ---------------------------------------------------------------------- clean-up
@pytest.mark.parametrize("target", ["everything", "", 7, ["cache"], {"a": 1}, True])
def test_what_is_no_target_is_refused(target: object) -> None:
    with pytest.raises(InvalidPayload):
        parse_cleanup("t1", {"target": target})


def test_targets_go_by_their_names_of_before_too() -> None:
    assert parse_cleanup("t1", {}) == CleanUp(TARGETS)
    assert parse_cleanup("t1", {"target": "sessions"}) == CleanUp(("sessions",))
    assert parse_cleanup("t1", {"target": "temp_files"}) == CleanUp(("temp",))


def aged(path: Path, now: float, days: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    os.utime(path, (now - days * 86_400,) * 2)


def test_every_target_says_how_much_went(tmp_path: Path) -> None:
    clock = FrozenClock()
    logs, temp, cache = tmp_path / "logs", tmp_path / "temp", tmp_path / "cache"
    for name, days in (("a.log", 31.0), ("in/b.log.3", 40), ("c.log.gz", 31), ("d.log", 29), ("keep.db", 99)):
        aged(logs / name, clock.now(), days)
    for name, days in (("x", 2.0), ("y", 0.5)):
        aged(temp / name, clock.now(), days)
    aged(cache / ".parts" / "half", clock.now(), 2)
    outside = tmp_path / "outside.log"
    aged(outside, clock.now(), 99)
    (logs / "linked").symlink_to(tmp_path)
    files = OldFilesOnDisk(clock=clock, logs=logs, log_seconds=30 * 86_400, temp=temp, cache=cache, temp_seconds=86_400)
    sessions = MemorySessions(clock, {"old": clock.now() - 1, "new": clock.now() + 1})
    handler = CleanUpHandler(ScriptedCache(), sessions, files)
    outcome = handler.handle(CleanUp(TARGETS), a_run(tmp_path))
    assert isinstance(outcome, Done)
    assert outcome.result["logs"] == {"files": 3, "freed_bytes": 15, "kept": 0}
    assert outcome.result["temp"] == {"files": 2, "freed_bytes": 10, "kept": 0}
    assert outcome.result["sessions"] == {"sessions": 1}
    assert outcome.result["cache"]["entries"] == 2
    assert sorted(path.name for path in logs.rglob("*") if path.is_file()) == ["d.log", "keep.db"]
    assert outside.exists()
    again = handler.handle(CleanUp(("logs", "temp", "sessions")), a_run(tmp_path))
    assert isinstance(again, Done)
    assert [sum(counts.values()) for counts in again.result.values()] == [0, 0, 0]


def test_folders_that_nobody_named_or_that_are_not_there_have_nothing_in_them(tmp_path: Path) -> None:
    files = OldFilesOnDisk(
        clock=FrozenClock(), logs=None, log_seconds=1, temp=tmp_path / "none", cache=tmp_path, temp_seconds=1
    )
    assert (files.remove_old_logs().files, files.remove_old_temp().files) == (0, 0)


@pytest.mark.parametrize(("error", "kept"), [(errno.EACCES, 1), (errno.ENOENT, 0)])
def test_a_folder_that_can_not_be_read_keeps_no_other_from_being_cleaned_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, kept: int
) -> None:
    """In a folder that many use (/tmp) some are others' own, and some go while it is gone through."""
    clock, temp = FrozenClock(), tmp_path / "temp"
    for name in ("a/old", "b/old", "c/old"):
        aged(temp / name, clock.now(), 2)
    files = OldFilesOnDisk(clock=clock, logs=None, log_seconds=1, temp=temp, cache=tmp_path, temp_seconds=86_400)
    opened, refused = os.open, {"b"}

    def look(place: Any, *how: Any, **where: Any) -> int:
        if str(place) in refused:
            raise OSError(error, os.strerror(error), str(place))
        return opened(place, *how, **where)

    monkeypatch.setattr(os, "open", look)
    swept = files.remove_old_temp()
    assert (swept.files, swept.kept) == (2, kept)
    refused.add(str(temp))
    if error == errno.EACCES:
        with pytest.raises(FileAccessError, match="can't be read"):
            files.remove_old_temp()
    else:
        assert files.remove_old_temp().files == 0


# ---------------------------------------------------------------------- daily figures
def test_yesterday_is_a_day_of_the_zone() -> None:
    """1 March 2026, 00:00 in Seoul: still 28 February, 15:00, elsewhere."""
    midnight = bounds(date(2026, 3, 1), SEOUL)[0]
    assert day_before(midnight, SEOUL) == date(2026, 2, 28)
    assert day_before(midnight - 1, SEOUL) == date(2026, 2, 27)
    assert day_before(midnight, ZoneInfo("UTC")) == date(2026, 2, 27)


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (date(2026, 6, 1), 24)])
def test_a_day_is_as_long_as_it_is(day: date, hours: int) -> None:
    begins, ends = bounds(day, NEW_YORK)
    assert ends - begins == hours * 3600


def test_figures_of_yesterday_are_saved_and_replaced(tmp_path: Path) -> None:
    clock, kept = FrozenClock(), MemoryStatistics()
    begins, ends = bounds(date(2026, 2, 28), SEOUL)
    clock.step(ends + 30 * 60 - clock.now())
    handler = DailyStatisticsHandler(kept, clock, ContentSettings(zone=SEOUL))
    for times in (1, 2):
        kept.views.append(View("a", "u1", 60.0, begins + times))
        outcome = handler.handle(CountDay(None), a_run(tmp_path))
        assert isinstance(outcome, Done)
        assert outcome.result == {
            "date": "2026-02-28", "total_views": times, "unique_users": 1, "total_watch_time": 60.0 * times,
            "popular_contents": [{"content_id": "a", "views": times}],
        }  # fmt: skip
    assert kept.saved[date(2026, 2, 28)].total_views == 2
    handler.handle(CountDay(date(2026, 1, 1)), a_run(tmp_path))
    assert set(kept.saved) == {date(2026, 2, 28), date(2026, 1, 1)}


def test_a_day_that_is_not_over_where_it_is_counted_is_waited_for(tmp_path: Path) -> None:
    clock, kept = FrozenClock(), MemoryStatistics()
    day = date(2026, 6, 1)
    midnight_in_seoul = bounds(day, SEOUL)[1]
    clock.step(midnight_in_seoul - clock.now())  # when cron asks for that day; in New York it is 11 in the morning
    handler = DailyStatisticsHandler(kept, clock, ContentSettings(zone=NEW_YORK))
    outcome = handler.handle(CountDay(day), a_run(tmp_path))
    assert isinstance(outcome, Snooze)
    assert (outcome.seconds, kept.saved) == (13 * 3600, {})
    clock.step(outcome.seconds)
    assert isinstance(handler.handle(CountDay(day), a_run(tmp_path)), Done)
    with pytest.raises(InvalidPayload):
        handler.handle(CountDay(date(2026, 6, 3)), a_run(tmp_path))


@pytest.mark.parametrize(
    "said", ["yesterday", "2026-02-30", "20260228", "2026-02-28T00:00", 20260228, "", "0001-01-01"]
)
def test_what_is_no_day_is_refused(said: object) -> None:
    with pytest.raises(InvalidPayload):
        parse_daily_statistics("t1", {"date": said})


def test_a_day_is_an_iso_date() -> None:
    assert parse_daily_statistics("t1", {"date": "2026-02-28"}) == CountDay(date(2026, 2, 28))
    assert parse_daily_statistics("t1", {}) == CountDay(None)
