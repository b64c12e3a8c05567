"""The servers that the tests start: real, on loopback, with a clock that follows the tests, and gone afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from tests.functional.fleet import wait_for
from tests.servers.kinds import KINDS, start_redis
from tests.servers.process import ROOT, answers, free_ports
from tests.servers.shared import ServerClock, shared

ORPHAN = """
import os, signal
from tests.servers.kinds import start_redis
server = start_redis()
print(server.pid, server.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def port(url: str) -> int:
    return int(url.split("/")[2].rsplit(":", 1)[1])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_server_starts_stops_and_leaves_nothing(kind: str) -> None:
    server = KINDS[kind]()
    assert answers(port(server.url))
    server.remove()
    assert not answers(port(server.url))
    assert not server.folder.exists()


def test_a_killed_server_starts_again_on_the_same_data() -> None:
    server = start_redis(durable=True)
    try:
        redis.Redis.from_url(server.url).set("kept", "yes")
        server.kill()
        assert not answers(port(server.url))
        server.start()
        assert redis.Redis.from_url(server.url).get("kept") == b"yes"
    finally:
        server.remove()


def test_a_redis_key_expires_when_the_tests_say_so() -> None:
    server = shared("redis", set_clock=True)
    clock, client = ServerClock(server), redis.Redis.from_url(server.url)
    client.set("lease", "mine", px=30_000)
    clock.advance(29)
    assert client.get("lease") == b"mine"
    clock.advance(2)
    assert client.get("lease") is None


def test_postgres_has_the_tests_time() -> None:
    server = shared("postgres", set_clock=True)
    clock = ServerClock(server)
    with psycopg.connect(f"{server.url}/postgres") as connection:
        for _ in range(2):
            clock.advance(12.25)
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
            assert row is not None
            assert float(row[0]) == clock.now()


def is_gone(stat: Path) -> bool:
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_server_dies_with_the_tests(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", ORPHAN], cwd=ROOT, capture_output=True, text=True, check=False)
    pid, folder = ended.stdout.split()
    try:
        # Killed by the kernel the moment its parent is gone, which on a busy machine is not yet the moment we look.
        wait_for(lambda: is_gone(Path(f"/proc/{pid}/stat")), what="the server's end")
    finally:
        subprocess.run(["/bin/rm", "-rf", folder], check=True)


def test_ports_are_not_handed_out_twice() -> None:
    ports = free_ports(5, beside=10_000)
    assert len(set(ports)) == 5
    assert all(number + 10_000 < 65_536 for number in ports)
