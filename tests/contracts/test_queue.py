"""QueueConsumer, QueuePublisher, QueueInspector."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from src.application.give_back import release_all
from src.application.ports.queue import RECEIVE_BYTES, Delivery, Envelope, QueueDepth
from tests.contracts.backends.state import QueueAbilities, QueuePlace
from tests.fakes.clock import FrozenClock
from tests.fakes.flaky import WholeQueue


@pytest.fixture
def queue(queues: QueuePlace) -> WholeQueue:
    return queues.queue()


def envelope(name: str, *, delay: float = 0.0, priority: int = 0) -> Envelope:
    return Envelope(
        body=f'{{"job_id": "{name}"}}'.encode(),
        key=name,
        delay_seconds=delay,
        priority=priority,
        attributes={"n": name},
    )


def receive(queue: WholeQueue, limit: int = 10, *, wait: float = 0.0, visibility: float = 30.0) -> Sequence[Delivery]:
    return queue.receive(limit, wait_seconds=wait, visibility_seconds=visibility)


def names(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.attributes["n"] for delivery in deliveries]


def published(delivery: Delivery, abilities: QueueAbilities) -> dict[str, str]:
    """Its attributes without those that the queue adds."""
    return {name: value for name, value in delivery.attributes.items() if name not in abilities.marks}


def test_a_message_arrives_as_it_was_published(
    queue: WholeQueue, clock: FrozenClock, abilities: QueueAbilities
) -> None:
    queue.publish([Envelope(body=bytes(range(256)), key="k", attributes={"traceparent": "00-1"})])
    clock.advance(7)
    (delivery,) = receive(queue)
    assert delivery.body == bytes(range(256))
    assert published(delivery, abilities) == {"traceparent": "00-1"}
    assert delivery.receive_count == 1
    assert delivery.enqueued_at == pytest.approx(clock.now() - 7)


def test_an_empty_queue_answers_after_the_wait(queue: WholeQueue, clock: FrozenClock) -> None:
    began = clock.monotonic()
    assert receive(queue, wait=20) == []
    assert clock.monotonic() - began == pytest.approx(20)


def test_no_wait_means_one_look(queue: WholeQueue, clock: FrozenClock) -> None:
    assert receive(queue, wait=0) == []
    assert clock.slept == []


def test_a_wait_ends_when_a_message_becomes_visible(queue: WholeQueue, clock: FrozenClock) -> None:
    queue.publish([envelope("a", delay=3)])
    began = clock.monotonic()
    assert names(receive(queue, wait=20)) == ["a"]
    assert clock.monotonic() - began == pytest.approx(3, abs=0.2)


def test_a_received_message_is_hidden_from_others(queue: WholeQueue, queues: QueuePlace) -> None:
    queue.publish([envelope("a")])
    assert names(receive(queue)) == ["a"]
    assert receive(queues.queue()) == []


def test_a_message_not_acknowledged_comes_back(queue: WholeQueue, clock: FrozenClock) -> None:
    queue.publish([envelope("a")])
    receive(queue, visibility=30)
    clock.advance(29)
    assert receive(queue) == []
    clock.advance(2)
    (again,) = receive(queue)
    assert (again.attributes["n"], again.receive_count) == ("a", 2)


def test_an_acknowledged_message_never_comes_back(queue: WholeQueue, clock: FrozenClock) -> None:
    queue.publish([envelope("a"), envelope("b")])
    queue.ack(receive(queue))
    clock.advance(1e6)
    assert receive(queue) == []
    assert queue.depth().ready == 0


def test_a_stale_receipt_is_ignored(queue: WholeQueue, queues: QueuePlace, clock: FrozenClock) -> None:
    queue.publish([envelope("a")])
    (old,) = receive(queue, visibility=30)
    clock.advance(31)
    other = queues.queue()
    (new,) = receive(other, visibility=30)
    queue.ack([old])
    queue.extend([old], visibility_seconds=1000)
    queue.release(old, delay_seconds=0)
    assert receive(queue) == [], "the stale release must not show the message to a third worker"
    clock.advance(31)
    (again,) = receive(queue)
    assert again.receive_count == 3
    other.ack([new])
    assert queue.depth().in_flight == 1


def test_f29_an_acknowledgement_after_the_visibility_ended_still_counts_when_nobody_took_it(
    queue: WholeQueue, clock: FrozenClock
) -> None:
    queue.publish([envelope("a")])
    taken = receive(queue, visibility=2)
    clock.advance(10)
    queue.ack(taken)
    assert receive(queue) == []


def test_a_receipt_never_fits_a_later_message(queue: WholeQueue) -> None:
    queue.publish([envelope("a")])
    old = receive(queue)
    queue.ack(old)
    queue.publish([envelope("b")])
    receive(queue)
    queue.ack(old)
    assert queue.depth().in_flight == 1


def test_a_released_message_comes_back_after_the_delay(queue: WholeQueue, clock: FrozenClock) -> None:
    queue.publish([envelope("a")])
    (taken,) = receive(queue, visibility=1000)
    queue.release(taken, delay_seconds=60)
    clock.advance(59)
    assert receive(queue) == []
    clock.advance(2)
    assert names(receive(queue)) == ["a"]


def test_a_release_without_delay_shows_the_message_at_once(queue: WholeQueue, queues: QueuePlace) -> None:
    queue.publish([envelope("a")])
    queue.release(receive(queue)[0], delay_seconds=0)
    assert names(receive(queues.queue())) == ["a"]


def test_many_are_given_back_at_once_and_stale_ones_among_them_change_nothing(
    queue: WholeQueue, clock: FrozenClock
) -> None:
    wanted = [f"m{number:02}" for number in range(23)]
    queue.publish([envelope(name) for name in wanted])
    taken = [one for _ in range(4) for one in receive(queue, 10)]
    gone, given, kept = taken[0], taken[:20], taken[20:]
    queue.ack([gone])
    release_all(queue, given, delay_seconds=2)
    assert receive(queue, 30) == []
    # Where they go one by one, the last of them a little later than the first.
    clock.advance(3)
    assert sorted(names(receive(queue, 30))) == sorted(names(given[1:]))
    assert len(kept) == 3, "what was not given back stays hidden"
    release_all(queue, [], delay_seconds=0)


@pytest.mark.parametrize("delay", [0, 40])
def test_many_given_back_of_which_others_have_taken_some_meanwhile(
    queue: WholeQueue, queues: QueuePlace, clock: FrozenClock, delay: int
) -> None:
    queue.publish([envelope(f"m{number}") for number in range(10)])
    taken = [one for _ in range(2) for one in receive(queue, 5, visibility=30)]
    held = taken[::2]
    queue.extend(held, visibility_seconds=1000)
    clock.advance(31)
    other = queues.queue()
    theirs = receive(other, 5, visibility=1000)
    assert sorted(names(theirs)) == sorted(names(taken[1::2]))
    release_all(queue, taken, delay_seconds=delay)
    clock.advance(delay + 1 if delay else 0)
    assert sorted(names(receive(queue, 10))) == sorted(names(held))
    assert queue.depth().in_flight == 10
    release_all(queue, taken, delay_seconds=0)
    assert receive(queue, 10) == [], "every receipt is worth nothing now"
    other.ack(theirs)
    assert queue.depth().in_flight == 5


def test_after_a_release_the_receipt_is_stale(queue: WholeQueue) -> None:
    queue.publish([envelope("a")])
    (taken,) = receive(queue)
    queue.release(taken, delay_seconds=0)
    queue.ack([taken])
    assert names(receive(queue)) == ["a"]


def test_an_extension_counts_from_now(queue: WholeQueue, clock: FrozenClock) -> None:
    queue.publish([envelope("a")])
    taken = receive(queue, visibility=30)
    for _ in range(100):
        clock.advance(20)
        queue.extend(taken, visibility_seconds=30)
    assert receive(queue) == []
    clock.advance(31)
    assert names(receive(queue)) == ["a"]


def test_lower_priority_numbers_come_first_then_the_oldest(
    queue: WholeQueue, clock: FrozenClock, abilities: QueueAbilities
) -> None:
    for name, priority in (("late", 9), ("first", 0), ("middle", 5), ("second", 0)):
        queue.publish([envelope(name, priority=priority)])
        clock.advance(1)
    taken = names(receive(queue))
    if abilities.priorities:
        assert taken == ["first", "second", "middle", "late"]
    else:
        assert sorted(taken) == ["first", "late", "middle", "second"], "a priority that can't be kept loses nothing"


def test_no_more_than_the_limit_is_taken(queue: WholeQueue) -> None:
    queue.publish([envelope(str(number)) for number in range(5)])
    assert names(receive(queue, 2)) == ["0", "1"]
    assert names(receive(queue, 10)) == ["2", "3", "4"]


def test_a_delayed_message_is_not_seen_early(queue: WholeQueue, clock: FrozenClock) -> None:
    queue.publish([envelope("a", delay=10)])
    assert receive(queue) == []
    clock.advance(10.5)
    assert names(receive(queue)) == ["a"]


def test_publishing_a_waiting_key_again_does_not_double_it(queue: WholeQueue, abilities: QueueAbilities) -> None:
    queue.publish([envelope("a")])
    queue.publish([envelope("a"), envelope("b"), envelope("b")])
    assert names(receive(queue)) == (["a", "b"] if abilities.merges or abilities.in_turn else ["a", "a", "b"])


def test_publishing_a_delayed_key_brings_it_forward(
    queue: WholeQueue, clock: FrozenClock, abilities: QueueAbilities
) -> None:
    queue.publish([envelope("a", delay=3600, priority=5)])
    queue.publish([envelope("a")])
    if abilities.in_turn:
        assert receive(queue) == [], "the delayed one is before it"
        clock.advance(3601)
    assert names(receive(queue)) == ["a"]


def test_publishing_a_waiting_key_with_a_delay_does_not_put_it_off(queue: WholeQueue) -> None:
    queue.publish([envelope("a")])
    queue.publish([envelope("a", delay=3600)])
    assert names(receive(queue)) == ["a"]


def test_publishing_a_key_in_flight_adds_a_message(queue: WholeQueue) -> None:
    queue.publish([envelope("a")])
    held = receive(queue)
    queue.publish([envelope("a")])
    queue.ack(held)
    assert names(receive(queue)) == ["a"], "the message that is about to be acknowledged can't stand for the new one"


def test_a_late_acknowledgement_is_not_for_what_was_published_since(queue: WholeQueue, clock: FrozenClock) -> None:
    queue.publish([envelope("a")])
    late = receive(queue, visibility=5)
    clock.advance(6)
    queue.publish([Envelope(body=b"new", key="a", attributes={"n": "a"})])
    queue.ack(late)
    assert b"new" in [delivery.body for delivery in receive(queue)]


def test_two_deliveries_of_one_key_are_acknowledged_apart(queue: WholeQueue, abilities: QueueAbilities) -> None:
    queue.publish([envelope("a")])
    first = receive(queue, visibility=30)
    queue.publish([envelope("a")])
    if abilities.in_turn:
        assert receive(queue) == []
        queue.ack(first)
        second = receive(queue)
        assert names(second) == ["a"]
        queue.ack(first)
        assert queue.depth().in_flight == 1
        queue.ack(second)
        assert queue.depth() == QueueDepth(ready=0, delayed=0, in_flight=0)
        return
    second = receive(queue, visibility=1000)
    queue.ack(first)
    assert queue.depth().in_flight == 1
    queue.publish([envelope("a")])
    assert names(receive(queue, visibility=1000)) == ["a"]
    queue.ack(second)
    assert queue.depth().in_flight == 1


def test_a_released_message_is_brought_forward_by_its_key(
    queue: WholeQueue, clock: FrozenClock, abilities: QueueAbilities
) -> None:
    queue.publish([envelope("a")])
    queue.release(receive(queue)[0], delay_seconds=3600)
    queue.publish([envelope("a")])
    if abilities.in_turn:
        assert receive(queue) == [], "what was given back is before it"
        clock.advance(3601)
    assert names(receive(queue)) == ["a"]


def test_messages_of_one_key_come_one_at_a_time_and_in_order_where_they_can(
    queue: WholeQueue, queues: QueuePlace, abilities: QueueAbilities
) -> None:
    def of(key: str, number: int) -> Envelope:
        return Envelope(body=str(number).encode(), key=key)

    if not abilities.in_turn:
        queue.publish([of("a", 0), of("b", 0)])
        queue.publish([of("a", 1), of("b", 1)])
        assert len(receive(queue, 64)) == (2 if abilities.merges else 4)
        return
    for number in range(3):
        queue.publish([of("a", number), of("b", number)])
    other = queues.queue()
    for number in range(3):
        taken = [*receive(queue, 64), *receive(other, 64)]
        assert sorted(delivery.body for delivery in taken) == [str(number).encode()] * 2
        if number == 1:
            # Given back, it is still before the next one.
            queue.release(taken[0], delay_seconds=0)
            (again,) = receive(queue, 64)
            assert again.body == taken[0].body
            taken = [again, *taken[1:]]
        queue.ack(taken)
    assert queue.depth() == QueueDepth(ready=0, delayed=0, in_flight=0)


def test_queues_of_other_names_are_apart(queues: QueuePlace) -> None:
    if queues.queue("other") is queues.queue("video"):
        pytest.fail("two names gave one queue")
    queues.queue("other").publish([envelope("a")])
    assert receive(queues.queue("video")) == []
    assert names(receive(queues.queue("other"))) == ["a"]


def test_nothing_to_do_is_fine(queue: WholeQueue) -> None:
    queue.publish([])
    queue.ack([])
    queue.extend([], visibility_seconds=10)
    assert queue.depth().ready == 0


def test_depth_tells_ready_delayed_and_in_flight_apart(
    queue: WholeQueue, clock: FrozenClock, abilities: QueueAbilities
) -> None:
    queue.publish([envelope("held")])
    receive(queue, visibility=100)
    queue.publish([envelope("a"), envelope("b"), envelope("c", delay=50)])
    clock.advance(7)
    depth = queue.depth()
    assert (depth.ready, depth.delayed, depth.in_flight) == ((3, 0, 1) if abilities.delays_at_sight else (2, 1, 1))
    assert depth.oldest_ready_seconds == (pytest.approx(7, abs=0.01) if abilities.tells_age else None)
    clock.advance(100)
    depth = queue.depth()
    assert (depth.ready, depth.delayed, depth.in_flight) == (4, 0, 0)


def test_an_empty_queue_has_no_oldest_message(queue: WholeQueue) -> None:
    assert queue.depth().oldest_ready_seconds is None


def test_messages_survive_closing_a_consumer(queue: WholeQueue, queues: QueuePlace, clock: FrozenClock) -> None:
    queue.publish([envelope("a")])
    receive(queue, visibility=30)
    queue.close()
    clock.advance(31)
    assert names(receive(queues.queue())) == ["a"]


def test_two_consumers_never_get_the_same_message(queues: QueuePlace) -> None:
    queues.queue().publish([envelope(str(number)) for number in range(60)])
    taken: list[str] = []
    consumers = [threading.Thread(target=drain, args=(queues.queue(), taken)) for _ in range(4)]
    for consumer in consumers:
        consumer.start()
    for consumer in consumers:
        consumer.join()
    assert sorted(taken, key=int) == [str(number) for number in range(60)]


def drain(queue: WholeQueue, taken: list[str]) -> None:
    while deliveries := receive(queue, 3, visibility=1e6):
        taken.extend(names(deliveries))
        queue.ack(deliveries)


def test_f26_a_clock_set_back_does_not_show_a_hidden_message(queue: WholeQueue, clock: FrozenClock) -> None:
    queue.publish([envelope("a")])
    receive(queue, visibility=30)
    clock.step(-600)
    assert receive(queue) == []


def test_many_messages_are_moved_in_one_call(queue: WholeQueue, clock: FrozenClock) -> None:
    """More than a service takes in one request of its own."""
    wanted = [str(number) for number in range(25)]
    queue.publish([envelope(name) for name in wanted])
    taken = receive(queue, 25, visibility=30)
    assert sorted(names(taken), key=int) == wanted
    clock.advance(20)
    queue.extend(taken, visibility_seconds=30)
    clock.advance(20)
    assert receive(queue, 25) == []
    queue.ack(taken)
    clock.advance(1e6)
    assert receive(queue, 25) == []


def test_a_limit_above_what_is_there_takes_what_is_there(queue: WholeQueue) -> None:
    queue.publish([envelope(str(number)) for number in range(12)])
    assert len(receive(queue, 64)) == 12


def test_a_stale_receipt_among_good_ones_stands_in_nobodys_way(
    queue: WholeQueue, queues: QueuePlace, clock: FrozenClock
) -> None:
    queue.publish([envelope("a")])
    (old,) = receive(queue, visibility=5)
    clock.advance(6)
    queue.publish([envelope("b"), envelope("c")])
    fresh = {delivery.attributes["n"]: delivery for delivery in receive(queue, visibility=30)}
    queue.ack([old, fresh["b"]])
    queue.extend([old, fresh["c"]], visibility_seconds=100)
    clock.advance(31)
    assert names(receive(queues.queue())) == ["a"]


def test_acknowledging_twice_is_fine(queue: WholeQueue) -> None:
    queue.publish([envelope("a"), envelope("b")])
    first, second = receive(queue)
    queue.ack([first, first])
    queue.ack([first, second])
    queue.release(first, delay_seconds=0)
    assert queue.depth() == QueueDepth(ready=0, delayed=0, in_flight=0)


def test_a_part_of_a_second_counts(queue: WholeQueue, clock: FrozenClock, abilities: QueueAbilities) -> None:
    queue.publish([envelope("a")])
    receive(queue, visibility=1.5)
    clock.advance(1.4)
    assert receive(queue) == []
    clock.advance(0.7 if abilities.whole_seconds else 0.2)
    assert names(receive(queue)) == ["a"]


def test_a_wait_of_a_part_of_a_second_ends_with_it(queue: WholeQueue, clock: FrozenClock) -> None:
    began = clock.monotonic()
    assert receive(queue, wait=0.5) == []
    assert clock.monotonic() - began == pytest.approx(0.5)


def test_a_delay_longer_than_any_queue_keeps_is_kept(queue: WholeQueue, clock: FrozenClock) -> None:
    queue.publish([envelope("a", delay=3600.5)])
    for seconds in (0, 890, 20, 900, 900, 890):
        clock.advance(seconds)
        assert receive(queue) == []
    clock.advance(10)
    assert names(receive(queue)) == ["a"]


def test_a_release_for_longer_than_any_queue_hides_loses_nothing(queue: WholeQueue, clock: FrozenClock) -> None:
    queue.publish([envelope("a")])
    queue.release(receive(queue)[0], delay_seconds=100_000)
    clock.advance(40_000)
    assert receive(queue) == []
    clock.advance(60_001)
    assert names(receive(queue)) == ["a"]


ODD_ATTRIBUTES = {
    "traceparent": "00-1",
    "": "no name",
    "empty": "",
    "AWS.something": "reserved",
    ".dot": "at the start",
    "two..dots": "x",
    "with space": "y",
    "한국어": "이름",
    "control": "a\x00b\x1f",
    "mediaworker-attributes": "{}",
    "mediaworker-encoding": "base64",
    "mediaworker-not-before": "99999999999",
    **{f"n{number}": str(number) for number in range(12)},
}


@pytest.mark.parametrize(
    "body", [b"", b"-", b"\xff", b"\x00", "한국어 \U0001f3ac".encode(), b"x" * 200_000, "\uffff".encode()]
)
def test_any_body_and_any_attributes_arrive(queue: WholeQueue, body: bytes, abilities: QueueAbilities) -> None:
    queue.publish([Envelope(body=body, key="k", attributes=ODD_ATTRIBUTES)])
    (delivery,) = receive(queue)
    assert delivery.body == body
    assert published(delivery, abilities) == ODD_ATTRIBUTES


def test_any_key_will_do(queue: WholeQueue) -> None:
    for key in ("k" * 500, "with space", "한국어", "a/b:c\r\nFLUSHALL", ""):
        queue.publish([Envelope(body=b"x", key=key)])
    assert len(receive(queue)) == 5


def test_hundreds_of_messages_are_published_extended_and_acknowledged_in_one_call(
    queue: WholeQueue, clock: FrozenClock
) -> None:
    queue.publish([envelope(str(number)) for number in range(450)])
    taken: list[Delivery] = []
    while deliveries := receive(queue, 100):
        taken.extend(deliveries)
    assert sorted(names(taken), key=int) == [str(number) for number in range(450)]
    queue.extend(taken, visibility_seconds=100)
    clock.advance(60)
    assert receive(queue) == []
    queue.ack(taken)
    depth = queue.depth()
    assert (depth.ready, depth.delayed, depth.in_flight) == (0, 0, 0)


def test_a_receive_brings_some_megabytes_however_many_large_messages_there_are(
    queue: WholeQueue, abilities: QueueAbilities
) -> None:
    size = 900 * 1024
    queue.publish([Envelope(body=b"x" * size, key=str(number), attributes={"n": str(number)}) for number in range(12)])
    taken: list[Delivery] = []
    while deliveries := receive(queue, 12):
        assert sum(len(delivery.body) for delivery in deliveries[:-1]) < RECEIVE_BYTES or not abilities.bounded
        taken.extend(deliveries)
    assert sorted(names(taken), key=int) == [str(number) for number in range(12)], "each once"
    assert {delivery.receive_count for delivery in taken} <= {1, None}
    queue.ack(taken)
    assert queue.depth().in_flight == 0


def test_a_stale_receipt_among_others_does_not_keep_them_from_being_acknowledged(queue: WholeQueue) -> None:
    queue.publish([envelope(name) for name in ("a", "b", "c")])
    taken = receive(queue)
    stale = next(delivery for delivery in taken if delivery.attributes["n"] == "b")
    queue.release(stale, delay_seconds=0)
    queue.ack(taken)
    assert names(receive(queue)) == ["b"]
