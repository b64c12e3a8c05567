"""Orders on their way to an executor process: nothing of a payload is changed, whatever it is made of."""

from __future__ import annotations

import math
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from src.application.ports.executor import WorkOrder
from src.infrastructure.process import wire
from src.infrastructure.process.executor import ProcessExecutor
from src.infrastructure.process.handle import ChildProcess
from src.infrastructure.process.mark import Mark

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def order(number: int, payload: Any, **more: Any) -> WorkOrder:
    common = {
        "type": "t",
        "tenant": "acme",
        "subject": None,
        "generation": 1,
        "fence": 2,
        "attempt": 1,
        "max_attempts": 5,
    }
    return WorkOrder(run_id=f"run-{number}", job_id=f"job-{number}", payload=payload, **{**common, **more})


def sent(pair: Pair, orders: list[WorkOrder], first: int = 1) -> list[list[tuple[int, WorkOrder]]]:
    """What comes out at the other end, frame by frame."""
    frames = list(wire.order_frames(orders, first))

    def write() -> None:
        for frame in frames:
            pair[0].sendall(frame)

    writing = threading.Thread(target=write)
    writing.start()
    found = [wire.receive(pair[1]) for _ in frames]
    writing.join(10)
    return [list(wire.orders_of(frame["orders"])) for frame in found if frame is not None]


@pytest.mark.parametrize(
    "payload",
    [{}, {"n": 2**70, "x": 1e300, "t": "é\ud800\0"}, {"deep": {"a": [None, True, {"b": []}]}}, {"empty": ""}],
    ids=["nothing", "extremes", "deep", "empty"],
)
def test_a_payload_arrives_as_it_was(pair: Pair, payload: dict[str, Any]) -> None:
    asked = order(1, payload)
    assert sent(pair, [asked]) == [[(1, asked)]]


def test_neighbours_that_differ_keep_what_is_their_own_and_their_numbers(pair: Pair) -> None:
    kinds: list[dict[str, Any]] = [
        {},
        {},
        {"fence": 3},
        {"tenant": "b", "trace": "00-1"},
        {"subject": "s"},
        {"subject": "s"},
        {},
    ]
    orders = [order(number, {"n": number}, **more) for number, more in enumerate(kinds)]
    assert sent(pair, orders, first=40) == [list(enumerate(orders, 40))]


@pytest.mark.parametrize("value", [object(), math.nan], ids=["an object", "no number"])
def test_what_json_has_no_words_for_is_refused_before_anything_is_sent(value: object) -> None:
    with pytest.raises((TypeError, ValueError), match="JSON"):
        list(wire.order_frames([order(1, {"a": value})], 1))


def test_many_large_orders_come_in_several_frames_in_their_order(pair: Pair) -> None:
    orders = [order(number, {"text": "x" * 3_000_000}) for number in range(5)]
    arrived = sent(pair, orders, first=7)
    assert len(arrived) == len(orders)
    assert [one for frame in arrived for one in frame] == list(enumerate(orders, 7))


def test_an_order_that_no_frame_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        list(wire.order_frames([order(1, {"text": "x" * wire.LARGEST})], 1))


def test_orders_of_two_hands_arrive_in_the_order_of_their_numbers(pair: Pair) -> None:
    """The second is faster. Were its orders begun first, runs that never began would count as begun when the process dies."""
    executor = ProcessExecutor(argv=["none"], discard_scratch=lambda _run: None)
    hands = [[order(number, {}) for number in numbers] for numbers in ((1, 2, 3), (4, 5))]
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            executor._children.append(ChildProcess(process, pair[0], Mark(), starting=False))
            taken = [executor._take(orders, processes=1) for orders in hands]
            assert taken[0] is not None
            assert taken[1] is not None
            second = threading.Thread(target=executor._send, args=(*taken[1], hands[1]), daemon=True)
            second.start()
            second.join(0.2)
            executor._send(*taken[0], hands[0])
            second.join(10)
            frames = [wire.receive(pair[1]) for _ in hands]
        finally:
            process.kill()
    assert [number for frame in frames if frame for number, _ in wire.orders_of(frame["orders"])] == [1, 2, 3, 4, 5]
