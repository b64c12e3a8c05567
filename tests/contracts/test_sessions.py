"""Sign-in sessions, wherever the platform keeps them."""

from __future__ import annotations

import pytest

from src.infrastructure.db import sessions as sql_sessions
from tests.contracts.backends.content import SessionPlace
from tests.fakes.clock import FrozenClock


def test_sessions_that_ended_go_and_the_others_stay(sessions_at: SessionPlace, clock: FrozenClock) -> None:
    now = clock.now()
    for name, expires in (("a", now - 3600), ("b", now + 3600), ("c", now - 2), ("d", now + 2)):
        sessions_at.sign_in(name, expires)
    sessions = sessions_at.sessions()
    assert sessions.cleanup_expired_sessions() == 2
    assert sessions_at.names() == ["b", "d"]
    assert sessions.cleanup_expired_sessions() == 0


def test_more_than_one_transaction_takes_all_go(
    sessions_at: SessionPlace, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_sessions, "AT_A_TIME", 3)
    for number in range(6):
        sessions_at.sign_in(f"s{number}", clock.now() - 10)
    assert sessions_at.sessions().cleanup_expired_sessions() == 6
    assert sessions_at.names() == []
