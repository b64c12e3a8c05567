"""A platform's own SQLite tables, in which every library writes times as text in a way of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from src.domain.content.days import bounds
from src.infrastructure.db.sessions import SqlSessions
from src.infrastructure.db.statistics import SqlStatistics
from tests.contracts.backends.sql import SqlState, sqlite_state
from tests.fakes.clock import FrozenClock

FORMS = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.250Z", "%Y-%m-%d %H:%M:%S.999999%:z"]
ZONES = ["UTC", "America/New_York", "Asia/Seoul"]


def written(at: float, form: str, zone: str) -> str:
    """Only the last form can say another zone than UTC."""
    there = datetime.fromtimestamp(at, ZoneInfo(zone) if "%:z" in form else UTC)
    offset = there.strftime("%z")
    return there.strftime(form.replace("%:z", f"{offset[:3]}:{offset[3:]}"))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqlState]:
    made = sqlite_state(FrozenClock(), tmp_path)
    yield made
    made.close()


def execute(state: SqlState, statement: str, **given: object) -> None:
    state.database().write(lambda connection: connection.execute(text(statement), given))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zone", ZONES)
def test_sessions_go_when_they_have_ended_and_not_before(state: SqlState, form: str, zone: str) -> None:
    execute(state, "CREATE TABLE logins (id text, expires_at text)")
    now = state.clock.now()
    for name, left in (("long ago", -90_000), ("ended", -10), ("goes on", 10), ("for hours", 3600)):
        execute(state, "INSERT INTO logins VALUES (:id, :at)", id=name, at=written(now + left, form, zone))
    execute(state, "INSERT INTO logins VALUES ('never', NULL), ('nonsense', 'soon')")
    sessions = SqlSessions(database=state.database(), table="logins", times="timestamp")
    assert sessions.cleanup_expired_sessions() == 2
    kept = state.database().read(lambda connection: connection.execute(text("SELECT id FROM logins")).all())
    assert sorted(str(name) for (name,) in kept) == ["for hours", "goes on", "never", "nonsense"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zone", ZONES)
def test_views_are_of_the_day_in_which_they_were(state: SqlState, form: str, zone: str) -> None:
    """A day of Seoul begins at 15:00 of UTC."""
    execute(state, "CREATE TABLE plays (content_id text, user_id text, watched_seconds real, viewed_at text)")
    day = date(2026, 2, 28)
    begins, ends = bounds(day, ZoneInfo("Asia/Seoul"))
    for name, at in (("before", begins - 2), ("first", begins), ("last", ends - 2), ("after", ends)):
        given = {"id": name, "at": written(at, form, zone)}
        execute(state, "INSERT INTO plays VALUES (:id, 'u', 1, :at)", **given)
    database = state.database()
    statistics = SqlStatistics(database=database, platform=database, table="plays", times="timestamp")
    counted = statistics.of_day(day, begins=begins, ends=ends)
    assert [each.content_id for each in counted.popular_contents] == ["first", "last"]
