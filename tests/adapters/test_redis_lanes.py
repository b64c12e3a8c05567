"""Three lists of Redis as one queue: strict priorities that starve nobody, and anybody's push to any of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from src.application.ports.ledger import DeadLetter
from src.application.ports.queue import Envelope
from src.domain.errors import ErrorReport, FileAccessError, NetworkError, QueueUnavailable
from src.infrastructure.clock import SystemClock
from src.infrastructure.redis.dead_letter_list import RedisDeadLetterList
from src.infrastructure.redis.lanes import STARVED_SECONDS, RedisLanes
from tests.adapters.redis_servers import bodies, client, url
from tests.fakes.clock import FrozenClock

LONG = 30.0
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def names() -> tuple[str, ...]:
    mark = uuid.uuid4().hex[:12]
    return tuple(f"{mark}:{lane}" for lane in ("high", "normal", "low"))


@pytest.fixture
def lanes(names: tuple[str, ...]) -> Iterator[RedisLanes]:
    made = RedisLanes(url(), names, SystemClock())
    yield made
    made.close()


def push(name: str, *pushed: bytes) -> None:
    """As any producer does."""
    with client() as producer:
        producer.rpush(name, *pushed)


def take(lanes: RedisLanes, limit: int = 10, wait: float = 0.0) -> list[bytes]:
    return bodies(lanes.receive(limit, wait_seconds=wait, visibility_seconds=30))


def test_c1_a_push_to_any_list_is_a_message_and_better_lists_come_first(
    lanes: RedisLanes, names: tuple[str, ...]
) -> None:
    for name in reversed(names):
        push(name, name.encode() + b" 1", name.encode() + b" 2")
    high, normal, low = (name.encode() for name in names)
    assert take(lanes, 3) == [high + b" 1", high + b" 2", normal + b" 1"]
    assert take(lanes) == [normal + b" 2", low + b" 1", low + b" 2"]


def test_a_message_goes_to_the_lane_of_its_priority(lanes: RedisLanes, names: tuple[str, ...]) -> None:
    wanted = {-7: 0, -1: 0, 0: 1, 1: 2, 9: 2}
    lanes.publish([Envelope(body=str(number).encode(), key=str(number), priority=number) for number in wanted])
    assert [lane.depth().ready for lane in lanes.lanes] == [2, 1, 2]
    assert take(lanes) == [b"-7", b"-1", b"0", b"1", b"9"]


@pytest.mark.parametrize("lane", [0, 1, 2])
def test_a_waiting_worker_is_woken_by_a_push_to_any_list(lanes: RedisLanes, names: tuple[str, ...], lane: int) -> None:
    for each in lanes.lanes:
        each.slice_seconds = LONG
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take, lanes, 10, LONG)
        while not all(waiter and waiter.is_alive() for waiter in lanes._waiting):
            pass
        push(names[lane], b"now")
        assert waiting.result(LONG / 2) == [b"now"]
    for name in names:  # so that the waiters of the others end
        push(name, b"end")


def test_what_a_waiter_moved_is_not_lost_with_it(lanes: RedisLanes, names: tuple[str, ...]) -> None:
    push(names[1], b"moved")
    lanes.lanes[1].wait(1)
    other = RedisLanes(url(), names, SystemClock())
    assert take(other) == [b"moved"]
    other.close()


def test_c1_a_flood_above_starves_nobody_below(names: tuple[str, ...]) -> None:
    clock = FrozenClock()
    lanes = RedisLanes(url(), names, clock)
    push(names[2], *(b"low %d" % number for number in range(3)))
    push(names[0], *(b"high %d" % number for number in range(60)))
    assert take(lanes, 20) == [b"high %d" % number for number in range(20)], "strict"
    clock.advance(STARVED_SECONDS + 1)
    found = take(lanes, 20)
    assert found[:2] == [b"low 0", b"low 1"], "a tenth of the places"
    assert set(found[2:]) == {b"high %d" % number for number in range(20, 38)}
    assert take(lanes, 20) == [b"high %d" % number for number in range(38, 58)], "and strict again"
    lanes.close()


def test_a_receipt_of_another_queue_changes_nothing(lanes: RedisLanes, names: tuple[str, ...]) -> None:
    push(names[0], b"a")
    (delivery,) = lanes.receive(1, wait_seconds=0, visibility_seconds=30)
    for receipt in ("", "x", "9/1:2:3", "/", "-1/1:2:", delivery.receipt.replace("0/", "1/")):
        lanes.ack([delivery._replace(receipt=receipt)])
        lanes.release(delivery._replace(receipt=receipt), delay_seconds=0)
    assert (lanes.depth().in_flight, lanes.depth().ready) == (1, 0)
    lanes.ack([delivery])
    assert lanes.depth().in_flight == 0


def test_many_are_given_back_each_to_its_lane(lanes: RedisLanes, names: tuple[str, ...]) -> None:
    for name in names:
        push(name, *(name.encode() + b" %d" % number for number in range(3)))
    taken = lanes.receive(9, wait_seconds=0, visibility_seconds=30)
    lanes.ack(taken[:1])
    lanes.release_all(taken[::-1], delay_seconds=0)
    assert [depth.ready for depth in lanes.depths().values()] == [2, 3, 3]
    assert {body.rpartition(b" ")[0].decode() for body in take(lanes, 2)} == {names[0]}


def test_depth_is_of_all_lanes_and_doctor_names_them(lanes: RedisLanes, names: tuple[str, ...]) -> None:
    lanes.publish([Envelope(body=b"x", key=str(number), priority=number) for number in (-1, 0, 1)])
    lanes.publish([Envelope(body=b"x", key="later", priority=1, delay_seconds=60)])
    take(lanes, 1)
    depth = lanes.depth()
    assert (depth.ready, depth.delayed, depth.in_flight) == (2, 1, 1)
    each = lanes.depths()
    assert list(each) == list(names)
    assert [(one.ready, one.delayed, one.in_flight) for one in each.values()] == [(0, 0, 1), (1, 0, 0), (1, 1, 0)]
    assert any(all(name in fact for name in names) for fact in lanes.check())


def test_a_lane_that_fails_takes_nothing_with_it_that_a_better_one_gave(
    lanes: RedisLanes, names: tuple[str, ...]
) -> None:
    """On a cluster each lane may be on a server of its own. Here another program keeps something else under its name."""
    push(names[0], b"1", b"2")
    with client() as other:
        other.set(names[1], "no list")
    assert take(lanes) == [b"1", b"2"]
    with pytest.raises(QueueUnavailable):
        take(lanes)
    assert lanes.lanes[0].depth().in_flight == 2


def test_a_server_that_is_away_is_told(names: tuple[str, ...]) -> None:
    lanes = RedisLanes(NOWHERE, names, SystemClock())
    with pytest.raises(QueueUnavailable):
        take(lanes, wait=1)
    lanes.close()


# ---------------------------------------------------------------------- worker:dead_letter
def letter(name: str, body: bytes) -> DeadLetter:
    return DeadLetter(
        id=name,
        job_id="j1",
        type="thumbnail",
        tenant="acme",
        queue=None,
        body=body,
        error=ErrorReport.of(FileAccessError("no such file")),
        attempts=4,
        created_at=1.0,
    )


@pytest.mark.parametrize(
    ("body", "stands"),
    [
        (b'{"id": "j1", "type": "thumbnail", "payload": {}}', {"id": "j1", "type": "thumbnail", "payload": {}}),
        (b"[1]", {"body": "[1]"}),
        (b"{nonsense", {"body": "{nonsense"}),
        (b"\x80\x04pickled", {"body_base64": "gARwaWNrbGVk"}),
        (b'{"title": "\\ud800"}', {"title": "\ud800"}),
        (b'{"size": NaN}', {"body": '{"size": NaN}'}),
        (b'{"size": 1e999}', {"body": '{"size": 1e999}'}),
    ],
)
def test_c1_a_dead_letter_is_pushed_once_with_its_error(body: bytes, stands: dict[str, object]) -> None:
    name = f"{uuid.uuid4().hex}:dead_letter"
    told = RedisDeadLetterList(url(), name)
    for _ in range(2):
        told.notify(letter("l1", body))
    told.notify(letter("l2", body))
    with client() as reader:
        found = reader.lrange(name, 0, -1)
    assert isinstance(found, list)
    first, second = map(json.loads, found)
    assert {key: first[key] for key in stands} == stands
    assert (first["letter"], second["letter"], first["attempts"]) == ("l1", "l2", 4)
    assert (first["error"]["class"], first["error"]["message"]) == ("file_access", "no such file")
    told.close()


def test_a_list_that_can_not_be_reached_is_told_later() -> None:
    with pytest.raises(NetworkError):
        RedisDeadLetterList(NOWHERE).notify(letter("l1", b"{}"))
