"""Loops that all fail for one cause don't fill the log with it, and neither its first nor its last line is hidden."""

from __future__ import annotations

import json
import logging
import os
import weakref

from src.infrastructure.observability.logs import BoundedHandler, Censor, Lines
from src.infrastructure.observability.repeats import KEPT, SECONDS, Repeats
from tests.fakes.clock import FrozenClock


def record(event: str, error: str, loop: str = "waker") -> logging.LogRecord:
    made = logging.LogRecord("src.x", logging.WARNING, __file__, 1, event, (), None)
    made.__dict__.update({"error": error, "loop": loop})
    return made


def test_f10_one_cause_is_said_once_in_a_while_with_how_often_it_was_met() -> None:
    clock = FrozenClock()
    repeats = Repeats(clock.monotonic)
    said: list[int] = []
    for _turn in range(60):
        said += [0 for loop in ("waker", "alarm", "sweep") if repeats.passes(record("loop.failed", "away", loop))]
        said += [vars(each)["repeated"] for each in repeats.due()]
        clock.advance(1)
    said += [vars(each)["repeated"] for each in repeats.rest()]
    assert said[0] == 0
    assert len(said) <= 60 / SECONDS + 2
    assert 1 + sum(said) == 180, "every line is shown or counted"


def test_heartbeats_and_containers_that_meet_the_same_outage_are_kept_back_too() -> None:
    repeats = Repeats(FrozenClock().monotonic)
    for event in ("beat.failed", "database.away"):
        assert [repeats.passes(record(event, "no route")) for _turn in range(3)] == [True, False, False]


def test_the_last_line_comes_out_when_no_more_follow() -> None:
    clock = FrozenClock()
    repeats = Repeats(clock.monotonic)
    assert [repeats.passes(record("loop.failed", "away", loop)) for loop in "abc"] == [True, False, False]
    assert list(repeats.due()) == []
    clock.advance(SECONDS)
    assert [(vars(each)["loop"], vars(each)["repeated"]) for each in repeats.due()] == [("c", 2)]
    assert not repeats.holding


def test_other_causes_and_other_events_are_said_at_once() -> None:
    repeats = Repeats(FrozenClock().monotonic)
    assert repeats.passes(record("loop.failed", "away"))
    assert repeats.passes(record("loop.failed", "refused"))
    assert repeats.passes(record("receive.failed", "away"))
    assert all(repeats.passes(record("job.failed", "away")) for _ in range(3))


def test_causes_without_end_are_not_all_remembered() -> None:
    clock = FrozenClock()
    repeats = Repeats(clock.monotonic)
    for number in range(10 * KEPT):
        assert repeats.passes(record("loop.failed", f"port {number}"))
        clock.advance(1)
    assert len(repeats._shown) <= KEPT


def test_lines_that_were_kept_back_are_written_at_the_end() -> None:
    reader, writer = os.pipe()
    handler = BoundedHandler(Lines(Censor(), as_json=True), writer)
    for loop in "abc":
        handler.handle(record("loop.failed", "away", loop))
    # As the interpreter does at its end: with the handler's lock in its hands.
    logging.shutdown([weakref.ref(handler)])
    os.close(writer)
    with os.fdopen(reader) as written:
        lines = [json.loads(line) for line in written]
    assert [(line["loop"], line.get("repeated")) for line in lines] == [("a", None), ("c", 2)]


def test_lines_that_were_kept_back_are_written_when_their_time_comes() -> None:
    clock = FrozenClock()
    reader, writer = os.pipe()
    handler = BoundedHandler(Lines(Censor(), as_json=True), writer)
    handler.repeats = Repeats(clock.monotonic)
    for loop in "ab":
        handler.handle(record("loop.failed", "away", loop))
    clock.advance(SECONDS)
    with os.fdopen(reader) as written:
        lines = [json.loads(written.readline()) for _ in range(2)]
    assert [line["loop"] for line in lines] == ["a", "b"]
    handler.close()
    os.close(writer)
