"""What lock and progress write in Redis, where other programs read and write as well."""

from __future__ import annotations

import json

import pytest

from src.domain.progress import ProgressReport
from src.infrastructure.redis.lock import RedisIdempotency
from src.infrastructure.redis.progress import RedisProgress
from tests.adapters.redis_servers import client, url

KEY = "job:video:1:lock"
REPORT = ProgressReport(percent=40.0, step="transcode", step_index=4, step_total=7)


def test_the_origins_own_locks_are_respected() -> None:
    with client() as asking:
        asking.set(KEY, "1", px=60_000)
        lock = RedisIdempotency(url())
        assert lock.acquire(KEY, ttl_seconds=30) is None
        assert not lock.release(KEY, "2")
        asking.delete(KEY)
        assert lock.acquire(KEY, ttl_seconds=30)
        assert 29_000 < asking.pttl(KEY) < 30_000
        asking.delete(KEY)
        lock.close()


def test_a_reading_is_one_json_document_that_others_can_read() -> None:
    progress = RedisProgress(url(), ttl_seconds=86_400)
    progress.record("video:7", 3, REPORT)
    with client() as asking:
        document = json.loads(asking.get("job:video:7:progress") or b"")
        assert document == {**REPORT.to_json(), "fence": 3}
        assert 86_000_000 < asking.pttl("job:video:7:progress") <= 86_400_000
    progress.clear("video:7")
    progress.close()


@pytest.mark.parametrize(
    "forged",
    [b"", b"no json", b"[1]", b"7", b"null", b'{"step": "x"}', b'{"percent": "all", "fence": "x"}', b"\xff\xfe"],
)
def test_t24_what_others_write_there_breaks_nothing(forged: bytes) -> None:
    progress = RedisProgress(url())
    with client() as asking:
        asking.set("job:forged:progress", forged)
    assert progress.latest("forged") is None
    progress.record("forged", 1, REPORT)
    assert progress.latest("forged") == REPORT
    progress.clear("forged")
    progress.close()


def test_t24_a_forged_percentage_is_never_above_a_hundred() -> None:
    progress = RedisProgress(url())
    with client() as asking:
        asking.set("job:forged:progress", b'{"percent": 1e9, "fence": 1}')
    progress.record("forged", 1, REPORT)
    latest = progress.latest("forged")
    assert latest is not None
    assert latest.percent == 100
    progress.clear("forged")
    progress.close()
