"""What is Redis's own: anybody's RPUSH, the blocking wait, what is left behind, restarts and lost connections."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis

from src.application.ports.queue import RECEIVE_BYTES, Delivery, Envelope
from src.domain.errors import ConfigError, QueueUnavailable
from src.infrastructure.redis.names import keys_of
from src.infrastructure.redis.queue import BATCH, RedisQueue
from tests.adapters.redis_servers import bodies, client, message, new_queue, own_server, take, url
from tests.servers.process import ROOT

SLOW = 30.0
"""Seconds of a wait that only a wake-up ends earlier; a test that gets nothing in that time fails."""


@pytest.fixture
def queue() -> Iterator[RedisQueue]:
    made = new_queue()
    yield made
    made.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def push(queue: RedisQueue, *pushed: bytes) -> None:
    """As any producer does."""
    with client() as producer:
        producer.rpush(queue.name, *pushed)


def sleeper(pool: ThreadPoolExecutor, queue: RedisQueue, limit: int = 10) -> Future[Sequence[Delivery]]:
    """A worker whose receive is blocked in the server."""
    queue.slice_seconds = SLOW
    before = blocked()
    waiting = pool.submit(take, queue, limit, wait=SLOW)
    while blocked() == before and not waiting.done():
        pass
    return waiting


def blocked() -> int:
    with client() as asking:
        found = asking.info("clients")
    assert isinstance(found, dict)
    return int(found["blocked_clients"])


def left_behind(queue: RedisQueue) -> list[bytes]:
    with client() as asking:
        return sorted(key for key in asking.scan_iter(count=1000) if queue.name.encode() in key)


def test_large_bodies_that_anybody_pushed_come_a_few_at_a_time_in_their_turn(queue: RedisQueue) -> None:
    large = [b"%d " % number + b"x" * 2**20 for number in range(20)]
    small = [b"%d" % number for number in range(3 * 50)]
    push(queue, *small, *large, b"last")
    found: list[Delivery] = []
    while some := take(queue, BATCH):
        assert sum(len(delivery.body) for delivery in some[:-1]) < RECEIVE_BYTES
        found += some
    assert bodies(found) == [*small, *large, b"last"]
    queue.ack(found)
    assert left_behind(queue) == []


def test_a_publish_of_more_than_a_command_may_have_goes_in_parts(
    queue: RedisQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [Envelope(body=b"%d " % number + b"x" * (3 * 2**20), key=str(number)) for number in range(9)]
    sent: list[int] = []
    run = queue._run

    def counted(name: str, *args: Any) -> Any:
        sent.append(sum(len(arg) for arg in args if isinstance(arg, bytes)))
        return run(name, *args)

    monkeypatch.setattr(queue, "_run", counted)
    queue.publish([*large, Envelope(body=b"x" * (9 * 2**20), key="larger"), Envelope(body=b"last", key="last")])
    assert max(sent) < 10 * 2**20
    assert len(sent) == 7
    assert queue.depth().ready == 11


def test_anybodys_push_is_a_message(queue: RedisQueue) -> None:
    push(queue, b'{"job_id": "1"}', bytes(range(256)), b"")
    first, second, third = take(queue)
    assert bodies([first, second, third]) == [b'{"job_id": "1"}', bytes(range(256)), b""]
    assert (first.receive_count, first.enqueued_at, first.attributes) == (1, None, {})
    queue.release(first, delay_seconds=0)
    (again,) = take(queue)
    assert (again.message_id, again.receive_count, again.enqueued_at) == (first.message_id, 2, None)


def test_pushed_bodies_come_in_their_order_and_only_once(queue: RedisQueue) -> None:
    wanted = [str(number).encode() for number in range(2 * BATCH + 7)]
    push(queue, *wanted)
    seen: list[bytes] = []
    while taken := take(queue, 1000):
        seen += bodies(taken)
        queue.ack(taken)
    assert seen == wanted


def test_priorities_are_strict_between_our_messages_and_pushed_ones(queue: RedisQueue) -> None:
    queue.publish([message("later", priority=1), message("urgent", priority=-1), message("most", priority=-9)])
    push(queue, b"pushed")
    assert bodies(take(queue)) == [b"most", b"urgent", b"pushed", b"later"]
    queue.publish([message("above", priority=10**9), message("below", priority=-(10**9)), message("normal")])
    assert bodies(take(queue)) == [b"below", b"normal", b"above"]


def test_neither_our_messages_nor_pushed_ones_starve_the_others(queue: RedisQueue) -> None:
    queue.publish([message(f"ours {number}") for number in range(100)])
    push(queue, *(f"theirs {number}".encode() for number in range(100)))
    seen = [body.split()[0] for _ in range(60) for body in bodies(take(queue, 1))]
    assert {b"ours", b"theirs"} == set(seen)


def test_a_message_whose_worker_died_comes_before_the_newer_ones(queue: RedisQueue) -> None:
    queue.publish([message("old")])
    take(queue, visibility=0.01)
    queue.publish([message("new 1"), message("new 2")])
    take_after(0.02)
    assert bodies(take(queue)) == [b"old", b"new 1", b"new 2"]


def take_after(seconds: float) -> None:
    with client() as asking:
        started = asking.time()
        while (now := asking.time())[0] + now[1] / 1e6 < started[0] + started[1] / 1e6 + seconds:
            pass


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda queue: push(queue, b"x"), id="push"),
        pytest.param(lambda queue: queue.publish([message("x")]), id="publish"),
        pytest.param(lambda queue: queue.publish([message("x", delay=0.05)]), id="publish-delayed"),
    ],
)
def test_a_blocking_wait_ends_when_a_message_comes(
    queue: RedisQueue, pool: ThreadPoolExecutor, act: Callable[[RedisQueue], None]
) -> None:
    waiting = sleeper(pool, queue)
    act(new_queue(name=queue.name))
    assert bodies(waiting.result()) == [b"x"]


def test_a_blocking_wait_ends_when_a_message_is_released(queue: RedisQueue, pool: ThreadPoolExecutor) -> None:
    queue.publish([message("x")])
    (held,) = take(queue)
    waiting = sleeper(pool, new_queue(name=queue.name))
    queue.release(held, delay_seconds=0)
    assert bodies(waiting.result()) == [b"x"]


def test_many_are_given_back_by_one_script_for_each_batch() -> None:
    with own_server() as server:
        queue = new_queue(server.url, "video")
        queue.publish([message(str(number)) for number in range(BATCH + 50)])
        (first,) = take(queue, 1)
        queue.release(first, delay_seconds=0)  # the server knows the script from now on
        taken = [*take(queue, BATCH), *take(queue, BATCH)]
        assert len(taken) == BATCH + 50
        with client(server.url) as asking:
            before = scripts(asking)
            queue.release_all(taken, delay_seconds=0)
            assert scripts(asking) - before == 2
        assert queue.depth().ready == BATCH + 50
        queue.close()


def scripts(asking: Redis) -> int:
    """Runs so far."""
    found = asking.info("commandstats")
    assert isinstance(found, dict)
    return sum(int(found[name]["calls"]) for name in ("cmdstat_evalsha", "cmdstat_eval") if name in found)


def test_many_are_given_back_in_the_order_of_their_priorities(queue: RedisQueue) -> None:
    queue.publish([message(str(number), priority=number % 3) for number in range(9)])
    queue.release_all(take(queue)[::-1], delay_seconds=0)
    assert bodies(take(queue)) == [b"0", b"3", b"6", b"1", b"4", b"7", b"2", b"5", b"8"]


def test_what_is_given_back_after_its_visibility_ended_still_waits_for_its_delay(queue: RedisQueue) -> None:
    queue.publish([message("a"), message("b")])
    both = take(queue, visibility=0.01)
    take_after(0.02)
    # Both went back to the front, and one was taken again: the other's receipt is still good.
    (again,) = take(queue, 1)
    queue.release_all(both, delay_seconds=60)
    assert (queue.depth().ready, queue.depth().delayed, queue.depth().in_flight) == (0, 1, 1)
    queue.ack([again])


def test_a_wait_is_reckoned_anew_for_what_is_given_back_with_a_delay(
    queue: RedisQueue, pool: ThreadPoolExecutor
) -> None:
    queue.publish([message("a"), message("b")])
    held = take(queue)
    waiting = sleeper(pool, new_queue(name=queue.name))
    queue.release_all(held, delay_seconds=0.05)
    assert set(bodies(waiting.result())) <= {b"a", b"b"}


def test_everybody_who_waits_is_woken_for_many_messages(queue: RedisQueue, pool: ThreadPoolExecutor) -> None:
    waiting = [sleeper(pool, new_queue(name=queue.name), limit=1) for _ in range(4)]
    queue.publish([message(str(number)) for number in range(4)])
    assert sorted(body for one in waiting for body in bodies(one.result())) == [b"0", b"1", b"2", b"3"]


def test_a_wait_ends_in_time_for_a_delayed_message(queue: RedisQueue) -> None:
    queue.slice_seconds = SLOW
    queue.publish([message("x", delay=0.1)])
    assert bodies(take(queue, wait=SLOW)) == [b"x"]


def test_a_worker_that_dies_between_the_wait_and_the_lease_loses_nothing(queue: RedisQueue) -> None:
    push(queue, b"a", b"b")
    queue.wait(1)
    assert queue.depth().ready == 2
    other = new_queue(name=queue.name)
    taken = take(other)
    assert bodies(taken) == [b"a", b"b"]
    other.ack(taken)
    assert left_behind(queue) == []


def test_wake_ups_are_no_messages(queue: RedisQueue) -> None:
    queue.publish([message("a"), message("b", delay=60)])
    assert (queue.depth().ready, queue.depth().delayed) == (1, 1)
    queue.wait(1)
    assert (queue.depth().ready, queue.depth().delayed) == (1, 1)
    assert bodies(take(queue)) == [b"a"]
    assert take(queue) == []


def test_nothing_is_left_in_redis_when_everything_is_acknowledged(queue: RedisQueue) -> None:
    push(queue, b"pushed", b"pushed too")
    queue.publish([message("a"), message("b", delay=0.01), message("c", priority=3), message("d", key="c")])
    taken = list(take(queue, visibility=0.01))
    queue.release(taken[0], delay_seconds=0)
    take_after(0.02)
    queue.publish([message("a", key="a")])
    seen: set[bytes] = set()
    while taken := list(take(queue, 2, wait=0.0)):
        seen |= set(bodies(taken))
        queue.extend(taken, visibility_seconds=30)
        queue.ack(taken)
    assert seen == {b"pushed", b"pushed too", b"a", b"b", b"d"}
    assert left_behind(queue) == []


def test_a_late_acknowledgement_of_the_last_message_leaves_nothing_either(queue: RedisQueue) -> None:
    queue.publish([message("a"), message("b")])
    both = take(queue, visibility=0.01)
    take_after(0.02)
    # Both went back to the front, and one was taken again: the other's receipt is still good.
    (again,) = take(queue, 1)
    queue.ack(both)
    queue.ack([again])
    assert left_behind(queue) == []


def test_an_extension_takes_a_message_back_that_nobody_else_took(queue: RedisQueue) -> None:
    queue.publish([message("a"), message("b")])
    both = take(queue, visibility=0.01)
    take_after(0.02)
    (again,) = take(queue, 1)
    queue.extend(both, visibility_seconds=60)
    assert take(queue) == []
    queue.ack([*both, again])
    assert queue.depth().in_flight == 0


def test_receipts_of_another_queue_are_stale(queue: RedisQueue) -> None:
    queue.publish([message("a")])
    (taken,) = take(queue)
    for receipt in ("", "1", "nonsense", "1:video", "x:y:z", f"0:{taken.message_id}:a", f"-1:{taken.message_id}:a"):
        strange = Delivery(message_id=taken.message_id, body=b"", receipt=receipt)
        queue.ack([strange])
        queue.extend([strange], visibility_seconds=0)
        queue.release(strange, delay_seconds=0)
    assert queue.depth().in_flight == 1


def test_keys_and_attributes_are_only_text(queue: RedisQueue) -> None:
    odd = "a:b\r\nFLUSHALL 'é\u0000~9:9:9"
    queue.publish([Envelope(body=b"1:2:3:4:5", key=odd, attributes={odd: odd})])
    queue.publish([Envelope(body=b"~5:5:5:5:", key=odd, attributes={odd: odd})])
    (taken,) = take(queue)
    assert (taken.body, taken.attributes) == (b"~5:5:5:5:", {odd: odd})
    queue.ack([taken])
    assert left_behind(queue) == []


def test_a_server_that_forgot_the_scripts_is_given_them_again(queue: RedisQueue) -> None:
    queue.publish([message("a")])
    with client() as asking:
        asking.script_flush()
    taken = take(queue)
    with client() as asking:
        asking.script_flush()
    queue.ack(taken)
    assert left_behind(queue) == []


def test_a_connection_cut_in_the_middle_is_told_and_made_anew(queue: RedisQueue, pool: ThreadPoolExecutor) -> None:
    waiting = sleeper(pool, queue)
    with client() as asking:
        for one in asking.client_list():
            if one["cmd"] == "blmove":
                asking.client_kill_filter(_id=one["id"])
    with pytest.raises(QueueUnavailable, match="did not do as asked"):
        waiting.result()
    push(queue, b"x")
    assert bodies(take(queue)) == [b"x"]


def test_a_connection_that_went_away_while_it_was_not_used_is_not_noticed(queue: RedisQueue) -> None:
    queue.publish([message("a")])
    with client() as asking:
        asking.client_kill_filter(_type="normal", skipme=True)
    assert bodies(take(queue)) == [b"a"]


def test_a_forked_process_has_connections_of_its_own(queue: RedisQueue) -> None:
    queue.publish([message("parent's"), message("child's")])
    mine = take(queue, 1)
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        taken = take(queue, 1)
        queue.ack(taken)
        os._exit(0 if bodies(taken) == [b"child's"] else 1)
    assert os.waitpid(child, 0)[1] == 0
    queue.ack(mine)
    assert left_behind(queue) == []


def test_a_restart_of_the_server_loses_nothing_and_needs_no_new_queue() -> None:
    with own_server(durable=True) as server:
        queue = new_queue(server.url, "video")
        queue.publish([message("a"), message("b")])
        (held,) = take(queue, 1)
        server.kill()
        for call in (
            lambda: take(queue),
            lambda: queue.ack([held]),
            lambda: queue.publish([message("c")]),
            lambda: queue.release(held, delay_seconds=0),
            lambda: queue.extend([held], visibility_seconds=1),
            queue.depth,
        ):
            with pytest.raises(QueueUnavailable, match=r"Redis at redis://127\.0\.0\.1") as caught:
                call()
            assert caught.value.fix
        server.start()
        queue.ack([held])
        assert bodies(take(queue)) == [b"b"]
        queue.close()


def test_a_server_that_does_not_answer_is_unavailable_and_the_message_comes_back() -> None:
    with own_server() as server, client(server.url) as asking:
        queue = new_queue(server.url + "?socket_timeout=0.2", "video")
        queue.publish([message("a")])
        asking.client_pause(500)
        with pytest.raises(QueueUnavailable, match=r"(?i)timeout"):
            take(queue, visibility=0.01)
        taken: Sequence[Delivery] = []
        while not taken:
            try:
                taken = take(queue)
            except QueueUnavailable:
                continue
        assert bodies(taken) == [b"a"]
        queue.close()


CONSUMER = """
import sys
import redis
from src.infrastructure.clock import SystemClock
from src.infrastructure.redis.queue import RedisQueue
address, name, seen = sys.argv[1:]
queue, mark = RedisQueue(address, name, SystemClock()), redis.Redis.from_url(address)
while True:
    taken = queue.receive(5, wait_seconds=1, visibility_seconds=0.5)
    for delivery in taken:
        mark.sadd(seen, delivery.body)
    queue.ack(taken)
"""


def test_consumers_that_are_killed_again_and_again_lose_nothing(queue: RedisQueue) -> None:
    count, seen = 3000, f"seen-{uuid.uuid4().hex}"
    push(queue, *(f"theirs {number}".encode() for number in range(count)))
    queue.publish([message(f"ours {number}", priority=number % 3 - 1) for number in range(count)])

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", CONSUMER, url(), queue.name, seen], cwd=ROOT)

    dice, running, kills = random.Random(7), [start() for _ in range(3)], 0
    with client() as asking:
        try:
            while left_behind(queue):
                time.sleep(0.01)
                if kills < 9 and asking.scard(seen) >= (kills + 1) * 500:
                    kills += 1
                    victim = running.pop(dice.randrange(3))
                    victim.kill()
                    victim.wait()
                    running.append(start())
        finally:
            for one in running:
                one.kill()
                one.wait()
        assert asking.scard(seen) == 2 * count
        assert kills >= 3
        asking.delete(seen)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("video", ("video", "{video}:claiming")),
        ("a:{t1}:b", ("a:{t1}:b", "a:{t1}:b:claiming")),
    ],
)
def test_keys_of_one_queue_share_a_hash_tag(name: str, keys: tuple[str, ...]) -> None:
    assert keys_of(name)[:2] == keys


@pytest.mark.parametrize("name", ["a{b", "a}b", "a{}b", "}a{", "{}{a}"])
def test_a_name_that_a_cluster_could_not_keep_together_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="WORKER_QUEUE__NAME"):
        new_queue(name=name)


def test_a_check_leaves_the_queue_as_it_was_and_nothing_beside_it(queue: RedisQueue) -> None:
    push(queue, b"x")
    assert queue.check()[0].startswith("Redis 7")
    assert (queue.depth().ready, queue.depth().in_flight) == (1, 0)
    assert left_behind(queue) == [queue.name.encode()]


def test_every_handle_closes_its_connections() -> None:
    name = uuid.uuid4().hex
    address = f"{url()}?client_name={name}"
    queue = new_queue(address)
    queue.publish([message("a")])
    with client() as asking:
        assert [one for one in asking.client_list() if one["name"] == name]
        queue.close()
        while [one for one in asking.client_list() if one["name"] == name]:
            pass
