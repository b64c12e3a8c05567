"""Addresses of all kinds, servers that come late, and the start-up checks of queue, lock and progress."""

from __future__ import annotations

import contextlib
import signal
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import redis

from src.application.ports.checkable import Checkable
from src.domain.errors import ConfigError, DatabaseUnavailable, LockUnavailable, NetworkError, QueueUnavailable
from src.domain.job import JobState
from src.domain.progress import ProgressReport
from src.infrastructure.clock import SystemClock
from src.infrastructure.redis.address import Address, RedisLink
from src.infrastructure.redis.ledger import RedisLedger
from src.infrastructure.redis.lock import RedisIdempotency
from src.infrastructure.redis.progress import RedisProgress
from src.infrastructure.redis.queue import RedisQueue
from tests.adapters.redis_servers import bodies, client, cluster, message, new_queue, own_server, sentinel, take, url
from tests.contracts.moves import draft
from tests.servers.process import Server, free_ports
from tests.servers.shared import shared

SECRET = "p%40ss:w0rd/canary"
KEY = "job:video:1:lock"
REPORT = ProgressReport(percent=40.0, step="transcode", step_index=4, step_total=7)

Adapter = RedisQueue | RedisIdempotency | RedisProgress | RedisLedger
Make = Callable[[str], Adapter]
MAKERS: dict[str, tuple[Make, type[NetworkError]]] = {
    "queue": (lambda address: RedisQueue(address, "video", SystemClock()), QueueUnavailable),
    "ledger": (lambda address: RedisLedger(address, "ledger"), DatabaseUnavailable),
    "lock": (RedisIdempotency, LockUnavailable),
    "progress": (RedisProgress, NetworkError),
}


def use(adapter: Adapter) -> None:
    """One ordinary round."""
    if isinstance(adapter, RedisQueue):
        adapter.publish([message("a")])
        adapter.wait(0.001)
        taken = take(adapter)
        assert bodies(taken) == [b"a"]
        adapter.ack(taken)
        assert adapter.depth().in_flight == 0
    elif isinstance(adapter, RedisLedger):
        one = draft(f"job-{uuid.uuid4().hex}")
        adapter.admit(one)
        assert adapter.change(one.id, lambda job, now: job.request_cancel(now)).state is JobState.CANCELLED
        assert adapter.find(one.id) is not None
    elif isinstance(adapter, RedisIdempotency):
        token = adapter.acquire(KEY, ttl_seconds=30)
        assert token
        assert adapter.acquire(KEY, ttl_seconds=30) is None
        assert adapter.renew(KEY, token, ttl_seconds=30)
        assert adapter.release(KEY, token)
    else:
        adapter.record("job-1", 1, REPORT)
        assert adapter.latest("job-1") == REPORT
        adapter.clear("job-1")


@pytest.fixture(params=sorted(MAKERS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def made(kind: str, address: str) -> Adapter:
    return MAKERS[kind][0](address)


# ---------------------------------------------------------------------- a server that is away
def test_a_server_that_comes_late_is_used_by_the_next_call(kind: str) -> None:
    """The origin's bug: one failed connect switched Redis off for the life of the process."""
    with own_server() as server:
        server.stop()
        adapter = made(kind, server.url)
        for _ in range(3):
            with pytest.raises(MAKERS[kind][1], match="did not do as asked") as caught:
                use(adapter)
            assert "WORKER_REDIS__URL" in str(caught.value)
        server.start()
        use(adapter)
        server.kill()
        with pytest.raises(MAKERS[kind][1]):
            use(adapter)
        server.start()
        use(adapter)
        adapter.close()


def test_a_cluster_that_comes_late_is_used_by_the_next_call() -> None:
    with cluster() as (address, server):
        server.stop()
        adapters = [made(kind, address) for kind in MAKERS]
        for adapter in adapters * 2:
            with pytest.raises(NetworkError):
                use(adapter)
        server.start()
        for adapter in adapters:
            until_used(adapter)
            adapter.close()


def until_used(adapter: Adapter) -> None:
    while True:
        try:
            return use(adapter)
        except NetworkError:
            continue


def test_a_closed_adapter_opens_again_when_it_is_used(kind: str) -> None:
    with own_server() as server:
        adapter = made(kind, server.url)
        use(adapter)
        adapter.close()
        adapter.close()
        use(adapter)
        adapter.close()


# ---------------------------------------------------------------------- addresses
def test_every_port_works_on_a_cluster() -> None:
    with cluster() as (address, _server):
        for kind in MAKERS:
            adapter = made(kind, address)
            use(adapter)
            assert isinstance(adapter, Checkable)
            assert adapter.check()
            adapter.close()
        queue = new_queue(address, "worker:high")
        with redis.RedisCluster.from_url(address.replace("+cluster", "")) as producer:
            producer.rpush("worker:high", b"x")
        taken = take(queue, wait=5)
        assert bodies(taken) == [b"x"]
        queue.close()


def test_every_port_works_by_way_of_a_sentinel(kind: str) -> None:
    with own_server() as server, sentinel(server) as address:
        adapter = made(kind, address)
        use(adapter)
        assert isinstance(adapter, Checkable)
        assert adapter.check()
        adapter.close()


def test_a_sentinel_that_does_not_know_the_name_or_is_away_is_unavailable(kind: str) -> None:
    with own_server() as server, sentinel(server) as address:
        adapter = made(kind, address.replace("/main", "/other"))
        with pytest.raises(MAKERS[kind][1]):
            use(adapter)
        adapter.close()
    adapter = made(kind, address)
    with pytest.raises(MAKERS[kind][1]):
        use(adapter)


def test_a_unix_socket_is_an_address() -> None:
    with own_server("--unixsocket", "redis.sock") as server:
        queue = new_queue(f"unix://{server.folder}/redis.sock?db=2", "video")
        use(queue)
        queue.close()


@pytest.mark.parametrize(
    ("address", "hosts", "shown", "options"),
    [
        ("redis://h", (("h", 6379),), "redis://h", {}),
        ("redis://:p%40@h:1/2", (("h", 1),), "redis://h:1/2", {"password": "p@", "db": 2}),
        ("rediss://u:p@h:1/2?ssl_cert_reqs=none", (("h", 1),), "rediss://h:1/2", {"username": "u"}),
        ("redis://h?socket_timeout=1.5", (("h", 6379),), "redis://h", {"socket_timeout": 1.5}),
        ("redis://[::1]:7/0", (("::1", 7),), "redis://[::1]:7/0", {"host": "::1", "port": 7}),
        (
            "redis+sentinel://u:p@a,b:1,[::1]:2/main/3",
            (("a", 26379), ("b", 1), ("::1", 2)),
            "redis+sentinel://a,b:1,[::1]:2/main/3",
            {"db": 3, "username": "u", "password": "p"},
        ),
        (
            "rediss+cluster://:p@a:1,b?ssl_ca_certs=/ca",
            (("a", 1), ("b", 6379)),
            "rediss+cluster://a:1,b",
            {"password": "p", "ssl_ca_certs": "/ca"},
        ),
    ],
)
def test_addresses(address: str, hosts: tuple[tuple[str, int], ...], shown: str, options: dict[str, Any]) -> None:
    parsed = Address.parse(address)
    assert (parsed.hosts, parsed.shown) == (hosts, shown)
    assert options.items() <= parsed.options(5.0).items()


@pytest.mark.parametrize("address", ["rediss://h", "rediss+sentinel://h/main"])
def test_the_second_s_means_tls(address: str) -> None:
    parsed = Address.parse(address)
    made = parsed.connect(parsed.options(1.0))
    assert "SSL" in made.connection_pool.connection_class.__name__


@pytest.mark.parametrize(
    "address",
    [
        "",
        None,
        "h:6379",
        "http://h",
        f"redis+magic://u:{SECRET}@h",
        "redis://u:p%40ss:w0rd@h:canary",
        "redis+sentinel://u:canary@h",
        "redis+cluster://u:canary@h:x",
        "redis://u:canary@h?socket_timeout=soon",
    ],
)
def test_an_address_that_can_not_be_read_is_told_without_repeating_it(address: str | None) -> None:
    with pytest.raises(ConfigError, match="address") as caught:
        RedisIdempotency(address)
    assert "WORKER_REDIS__URL" in str(caught.value)
    assert "canary" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "address", ["redis://h?canary=1", "redis+sentinel://h/main?canary=1", "redis+cluster://h?canary=1"]
)
def test_an_option_that_is_not_known_is_an_error_of_the_configuration(kind: str, address: str) -> None:
    with pytest.raises(ConfigError, match="option"):
        checked(kind, address)


# ---------------------------------------------------------------------- start-up checks
def checked(kind: str, address: str) -> Any:
    adapter = made(kind, address)
    assert isinstance(adapter, Checkable)
    try:
        return adapter.check()
    finally:
        adapter.close()


def test_a_check_that_is_well_says_where_and_leaves_nothing(kind: str) -> None:
    with own_server() as server, client(server.url) as asking:
        assert server.url in " ".join(checked(kind, server.url))
        assert asking.keys() == []


def test_a_wrong_password_or_none_is_an_error_of_the_configuration(kind: str) -> None:
    with own_server() as server:
        with client(server.url) as asking:
            asking.config_set("requirepass", "canary-right")
        for login in (":canary-wrong@", "canary-nobody:canary-right@", ""):
            with pytest.raises(ConfigError, match="user and password") as caught:
                checked(kind, server.url.replace("//", f"//{login}"))
            assert "canary" not in str(caught.value)
        checked(kind, server.url.replace("//", "//:canary-right@"))


def test_a_server_that_is_away_is_no_error_of_the_configuration(kind: str) -> None:
    (port,) = free_ports()
    with pytest.raises(MAKERS[kind][1], match=f"127.0.0.1:{port}") as caught:
        checked(kind, f"redis://:canary@127.0.0.1:{port}/0")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("rights", ["~other:* +@all", "~* +ping"])
def test_missing_rights_are_an_error_of_the_configuration(kind: str, rights: str) -> None:
    with own_server() as server, client(server.url) as asking:
        asking.execute_command("ACL", "SETUSER", "worker", "on", ">pw", *rights.split())
        with pytest.raises(ConfigError, match="give this Redis user"):
            checked(kind, server.url.replace("//", "//worker:pw@"))


def test_the_rights_that_the_words_name_are_enough(kind: str) -> None:
    rights = "~video ~{video}:* ~{ledger}:* ~job:* +@read +@write +@scripting +@connection +@blocking +time +info"
    with own_server() as server, client(server.url) as asking:
        asking.execute_command("ACL", "SETUSER", "worker", "on", ">pw", *rights.split())
        address = server.url.replace("//", "//worker:pw@")
        checked(kind, address)
        adapter = made(kind, address)
        use(adapter)
        adapter.close()


def test_a_replica_is_an_error_of_the_configuration(kind: str) -> None:
    with own_server() as server, client(server.url) as asking:
        asking.replicaof("127.0.0.1", "1")
        with pytest.raises(ConfigError, match="leads to a replica"):
            checked(kind, server.url)


def test_a_database_that_is_not_there_is_an_error_of_the_configuration(kind: str) -> None:
    with pytest.raises(ConfigError, match="database number"):
        checked(kind, url().removesuffix("/0") + "/99")


def test_a_queue_whose_name_is_used_for_something_else_is_an_error_of_the_configuration() -> None:
    with client() as asking:
        asking.set("taken", "x")
        with pytest.raises(ConfigError, match="WORKER_QUEUE__NAME"):
            new_queue(name="taken").check()
        asking.delete("taken")


def test_a_queue_in_a_redis_that_throws_keys_away_is_refused() -> None:
    with own_server("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server:
        with pytest.raises(ConfigError, match="noeviction"):
            checked("queue", server.url)
        checked("lock", server.url)


def test_a_redis_that_forgets_at_a_restart_is_warned_of() -> None:
    with own_server() as server:
        assert any(fact.startswith("warning: ") for fact in checked("queue", server.url))
    with own_server(durable=True) as server:
        assert not any(fact.startswith("warning: ") for fact in checked("queue", server.url))


def test_a_full_redis_takes_no_messages_but_its_own_are_worked_off() -> None:
    with own_server() as server, client(server.url) as asking:
        queue = new_queue(server.url, "video")
        asking.rpush("video", b"pushed")
        queue.publish([message("a", priority=1), message("b", priority=2)])
        asking.config_set("maxmemory", 1)
        with pytest.raises(QueueUnavailable, match="maxmemory"):
            queue.publish([message("c")])
        pushed, first = take(queue, 2)
        assert bodies([pushed, first]) == [b"pushed", b"a"]
        queue.release(first, delay_seconds=0)
        queue.extend([pushed], visibility_seconds=60)
        queue.ack([pushed, *take(queue)])
        assert asking.keys() == []
        queue.close()


@pytest.mark.parametrize("forbidden", ["incrby", "hset", "zadd", "lpop", "zrem", "rpush"])
def test_a_script_that_fails_half_way_loses_nothing(forbidden: str) -> None:
    with own_server() as server, client(server.url) as asking:
        asking.execute_command("ACL", "SETUSER", "worker", "on", ">pw", "~*", "+@all", f"-{forbidden}")
        mine = new_queue(server.url, "video")
        asking.rpush("video", b"pushed", b"pushed too")
        mine.publish([message("a"), message("b"), message("c", delay=3600)])
        (held,) = take(mine, 1)
        theirs = new_queue(server.url.replace("//", "//worker:pw@"), "video")
        for act in (
            lambda: theirs.receive(4, wait_seconds=0, visibility_seconds=0.001),
            lambda: theirs.release(held, delay_seconds=0),
            lambda: theirs.publish([message("c")]),
        ):
            with contextlib.suppress(QueueUnavailable):
                act()
        mine.release(held, delay_seconds=0)
        mine.publish([message("c")])
        seen: set[bytes] = set()
        while taken := take(mine, wait=0.01):
            seen |= set(bodies(taken))
        assert seen == {b"pushed", b"pushed too", b"a", b"b", b"c"}
        mine.close()
        theirs.close()


# ---------------------------------------------------------------------- patience
def test_a_server_that_hangs_is_not_waited_for_longer_than_the_timeout(kind: str) -> None:
    with own_server() as server:
        adapter = made(kind, server.url + "?socket_timeout=0.2")
        use(adapter)
        server.signal(signal.SIGSTOP)
        with pytest.raises(MAKERS[kind][1], match=r"(?i)timeout"):
            use(adapter)
        server.signal(signal.SIGCONT)
        adapter.close()


def test_nothing_is_asked_before_the_first_call() -> None:
    server: Server = shared("redis")
    link = RedisLink(server.url, NetworkError)
    assert link._client is None
