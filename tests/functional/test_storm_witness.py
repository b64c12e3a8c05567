"""The storm's own eyes: each of them sees what it is there for."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from src.domain.job import Job
from src.infrastructure.memory.storage import MemoryStorage
from tests.fakes.clock import FrozenClock
from tests.functional.crew import descendants, kill_tree
from tests.functional.fleet import Fleet, wait_for
from tests.functional.places import place
from tests.functional.streams import incomplete, litter
from tests.functional.witness import Witness

FOLDER = "tenants/acme/video/hls/v1/1-1-00000000"
STREAM: Mapping[str, bytes] = {
    f"{FOLDER}/master.m3u8": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n240p/index.m3u8\n",
    f"{FOLDER}/240p/index.m3u8": b'#EXTM3U\n#EXT-X-MAP:URI="init.mp4"\nsegment_0.m4s\n',
    f"{FOLDER}/240p/init.mp4": b"x",
    f"{FOLDER}/240p/segment_0.m4s": b"x",
}


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_the_witness_sees_a_second_commit_under_any_fence(database: str, tmp_path: Path) -> None:
    with place(queue=database, database=database) as made:
        fleet = Fleet(tmp_path / "data", made.environ)
        try:
            fleet.folder.mkdir()
            name, ledger = fleet.submit("job-1", "noop"), fleet.adapters.ledger()
            witness = Witness(made.environ.get("WORKER_DATABASE__URL") or fleet.folder / "mediaworker.db")
            witness.call()
            assert witness.commits("jobs") == {}
            ledger.change(name, lambda job, now: job.claim(now, owner="w", lease_seconds=60)[0])
            ledger.change(name, lambda job, now: job.succeed(now, fence=1, result={}))
            ledger.change(name, lambda job, now: job.succeed(now, fence=1, result={}))
            assert witness.commits("jobs") == {(name, 1): 1}
            ledger.change(name, _as_if_there_were_no_fence)
            assert witness.commits("jobs") == {(name, 1): 2}
        finally:
            fleet.close()


def _as_if_there_were_no_fence(job: Job, now: float) -> Job:
    again = job.reopen(now).claim(now, owner="w", lease_seconds=60)[0].succeed(now, fence=2, result={})
    return replace(again, fence=1)


def test_a_stream_that_lacks_a_piece_is_seen() -> None:
    storage = _stored(STREAM)
    assert incomplete(storage, "acme", "v1", f"{FOLDER}/master.m3u8") is None
    assert incomplete(storage, "acme", "v1", None) is not None
    for key in STREAM:
        assert key in str(incomplete(_stored(STREAM, without=key), "acme", "v1", f"{FOLDER}/master.m3u8"))


def test_a_stream_of_two_attempts_is_seen() -> None:
    other = FOLDER.replace("1-1-", "1-2-")
    mixed = {**STREAM, f"{other}/240p/init.mp4": b"x"}
    mixed[f"{FOLDER}/240p/index.m3u8"] = f'#EXTM3U\n#EXT-X-MAP:URI="/{other}/240p/init.mp4"\nsegment_0.m4s\n'.encode()
    storage = _stored(mixed)
    assert "lacks" in str(incomplete(storage, "acme", "v1", f"{FOLDER}/master.m3u8"))
    assert litter(storage, "acme", "v1", f"{FOLDER}/master.m3u8") == 1


def test_a_worker_is_lost_with_all_that_it_started() -> None:
    sleeper = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']"
    sleeper += ", start_new_session=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", sleeper])
    wait_for(lambda: len(descendants(process.pid)) == 2, 30, "the child has a child")
    family = descendants(process.pid)
    kill_tree(process.pid)
    assert process.wait() == -signal.SIGKILL
    assert not [pid for pid in family if Path(f"/proc/{pid}/cmdline").exists() and _command(pid)]


def _command(pid: int) -> bytes:
    """Empty for a zombie that nobody has waited for yet."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _stored(objects: Mapping[str, bytes], *, without: str = "") -> MemoryStorage:
    storage = MemoryStorage(FrozenClock(1.0))
    for key, data in objects.items():
        if key != without:
            storage.put_bytes(key, data, content_type="video/mp4", cache_control="no-cache")
    return storage
