"""What cron leaves in its tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from src.domain.cron import tick_id
from src.domain.errors import Conflict
from src.domain.job import Job, JobDraft
from src.infrastructure.db.cron import KEEP_SECONDS, SqlCronTicks
from src.infrastructure.db.ledger import SqlLedger
from src.infrastructure.db.tables import cron_ticks
from tests.contracts.backends.sql import SqlState, sqlite_state
from tests.contracts.backends.state import AddVideo
from tests.fakes.clock import FrozenClock


@pytest.fixture
def state(tmp_path: Path) -> SqlState:
    return sqlite_state(FrozenClock(), tmp_path)


def draft(at: float) -> JobDraft:
    return JobDraft(id=tick_id("e", at), type="t", tenant="default", payload={})


def fired(state: SqlState) -> list[float]:
    query = select(cron_ticks.c.scheduled_at).order_by(cron_ticks.c.scheduled_at)
    return state.database().read(lambda connection: list(connection.execute(query).scalars()))


def test_old_moments_are_forgotten_and_the_newest_never(state: SqlState) -> None:
    ticks, begin = state.cron_ticks(), state.clock.now()
    moments = [begin, begin + KEEP_SECONDS, begin + KEEP_SECONDS + 1, begin + 10 * KEEP_SECONDS]
    for at in moments[:3]:
        assert ticks.fire("e", at, draft(at)) is not None
    assert fired(state) == moments[1:3]
    assert ticks.fire("e", moments[3], draft(moments[3])) is not None
    assert fired(state) == moments[3:]
    assert ticks.fire("e", moments[0], draft(moments[0])) is None
    state.close()


def test_a_moment_whose_job_can_not_be_made_is_not_used_up(state: SqlState) -> None:
    """One commit: the effect of the job fails, and the moment's row is gone with the job's."""

    def refused(_old: Job | None, _new: Job) -> list[AddVideo]:
        return [AddVideo("refused")]

    ledger = state.ledger(refused)
    assert isinstance(ledger, SqlLedger)
    with pytest.raises(Conflict):
        SqlCronTicks(ledger).fire("e", 60.0, draft(60.0))
    assert fired(state) == []
    assert ledger.find(tick_id("e", 60.0)) is None
    assert state.cron_ticks().fire("e", 60.0, draft(60.0)) is not None
    state.close()
