"""Several lists of one Redis as one queue with strict priorities: the content platform's `worker:high`, `worker:normal` and
`worker:low` (seed 000). Each list is a queue of its own, with its own leases, so that anybody's `RPUSH` to any of them counts
and a cluster may keep them on different servers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeVar

from src.application.ports.clock import Clock
from src.application.ports.queue import RECEIVE_BYTES, Delivery, Envelope, QueueDepth
from src.domain.errors import QueueUnavailable
from src.infrastructure.redis.queue import RedisQueue

STARVED_SECONDS = 5.0
"""How long better lanes may keep a worker from looking at a lane; then it comes first once."""

STARVED_SHARE = 10
"""And takes at most one of so many places of that receive (at least one)."""

MARK = "/"
"""Between the number of the lane and the receipt that the lane gave."""

Item = TypeVar("Item")


@dataclass
class RedisLanes:
    """QueueConsumer, QueuePublisher and QueueInspector of `names`, best first. A message published with priority 0 goes to the
    middle lane, each lower number one lane up, each higher one lane down, and it is sorted by its number within the lane.
    Receives take from a lane only what better lanes leave free, but each lane is looked at every STARVED_SECONDS.
    Thread-safe. `pause` as in RedisQueue."""

    url: str | None = field(repr=False)
    names: Sequence[str]
    clock: Clock
    pause: Callable[[float], object] | None = None
    lanes: Sequence[RedisQueue] = field(init=False, repr=False)
    _looked: list[float] = field(init=False, repr=False)
    """monotonic seconds at which each lane was last looked at"""
    _waiting: list[threading.Thread | None] = field(init=False, repr=False)
    _closed: bool = field(init=False, default=False)
    _woken: threading.Event = field(init=False, repr=False, default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.lanes = [RedisQueue(self.url, name, self.clock, pause=self.pause) for name in self.names]
        for lane in self.lanes[1:]:
            lane.link = self.lanes[0].link
        self._looked = [self.clock.monotonic()] * len(self.lanes)
        self._waiting = [None] * len(self.lanes)

    # ------------------------------------------------------------------ QueueConsumer
    def receive(self, limit: int, *, wait_seconds: float, visibility_seconds: float) -> Sequence[Delivery]:
        """Up to `limit` messages, of the best lanes that have any."""
        deadline = self.clock.monotonic() + wait_seconds
        while True:
            self._woken.clear()
            taken, due = self._look(limit, visibility_seconds)
            left = deadline - self.clock.monotonic()
            if taken or left <= 0:
                return taken
            self._wait(min(left, due))

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Remove those whose receipt still holds."""
        for lane, some in self._by_lane(deliveries):
            lane.ack(some)

    def release(self, delivery: Delivery, *, delay_seconds: float) -> None:
        """Give back to its lane, if the receipt still holds."""
        self.release_all([delivery], delay_seconds=delay_seconds)

    def release_all(self, deliveries: Sequence[Delivery], *, delay_seconds: float) -> None:
        """Give back each to its lane, if its receipt still holds."""
        for lane, some in self._by_lane(deliveries):
            lane.release_all(some, delay_seconds=delay_seconds)

    def extend(self, deliveries: Sequence[Delivery], *, visibility_seconds: float) -> None:
        """Hide those whose receipt still holds for longer."""
        for lane, some in self._by_lane(deliveries):
            lane.extend(some, visibility_seconds=visibility_seconds)

    def close(self) -> None:
        """Let connections go, those that still wait too: what the server moved for one of them, any receive finds."""
        self._closed = True
        self.lanes[0].close()

    # ------------------------------------------------------------------ QueuePublisher
    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """Add each to the lane of its priority."""
        for number, some in _grouped(envelopes, lambda envelope: self._lane_of(envelope.priority)):
            self.lanes[number].publish(some)

    # ------------------------------------------------------------------ QueueInspector
    def depth(self) -> QueueDepth:
        """Of all lanes together."""
        depths = self.depths().values()
        oldest = [depth.oldest_ready_seconds for depth in depths if depth.oldest_ready_seconds is not None]
        return QueueDepth(
            ready=sum(depth.ready for depth in depths),
            delayed=sum(depth.delayed for depth in depths),
            in_flight=sum(depth.in_flight for depth in depths),
            oldest_ready_seconds=max(oldest, default=None),
        )

    def depths(self) -> Mapping[str, QueueDepth]:
        """Of each lane."""
        return {lane.name: lane.depth() for lane in self.lanes}

    # ------------------------------------------------------------------ Checkable
    def check(self) -> Sequence[str]:
        """One message goes all the way through a queue beside each lane."""
        facts = [list(lane.check()) for lane in self.lanes]
        return [*facts[0], f"lanes, best first: {', '.join(self.names)}"]

    # ------------------------------------------------------------------ inside
    def _look(self, limit: int, visibility_seconds: float) -> tuple[list[Delivery], float]:
        taken: list[Delivery] = []
        due, most_bytes = self.lanes[0].slice_seconds, RECEIVE_BYTES
        for number, most in self._order(limit):
            room = min(most, limit - len(taken))
            if room <= 0 or most_bytes <= 0:
                continue
            try:
                found, next_due = self.lanes[number].look(
                    room, visibility_seconds=visibility_seconds, most_bytes=most_bytes
                )
            except QueueUnavailable:
                if not taken:
                    raise
                # What other lanes gave is leased to us, and nobody else could take it meanwhile; the next look says it.
                break
            most_bytes -= sum(len(each.body) for each in found)
            self._looked[number] = self.clock.monotonic()
            due = min(due, next_due)
            taken += [each._replace(receipt=f"{number}{MARK}{each.receipt}") for each in found]
        return taken, due

    def _order(self, limit: int) -> list[tuple[int, int]]:
        """[(lane, most to take)]: the starved ones first, for a share."""
        now = self.clock.monotonic()
        starved = [number for number, at in enumerate(self._looked) if number and now - at > STARVED_SECONDS]
        share = max(1, limit // STARVED_SHARE)
        return [*((number, share) for number in starved), *((number, limit) for number in range(len(self.lanes)))]

    def _wait(self, seconds: float) -> None:
        """Until something may be there, at most so long: a blocking command can wait for one list, so each lane has a waiter."""
        if self.pause is not None:
            self.pause(seconds)
            return
        for number, lane in enumerate(self.lanes):
            waiter = self._waiting[number]
            if waiter is None or not waiter.is_alive():
                self._waiting[number] = waiter = threading.Thread(
                    target=self._wait_for, args=(lane,), name=f"lane-{lane.name}", daemon=True
                )
                waiter.start()
        self._woken.wait(seconds)

    def _wait_for(self, lane: RedisQueue) -> None:
        try:
            lane.wait(lane.slice_seconds)
        except QueueUnavailable:
            # The look that follows says so, to somebody who can act on it; not at once again and again.
            if not self._closed:
                self.clock.sleep(lane.slice_seconds / 4)
        except Exception:
            # The client does not expect to lose its connection in the middle of a call (it raises ValueError, AttributeError).
            if not self._closed:
                raise
        finally:
            self._woken.set()

    def _lane_of(self, priority: int) -> int:
        middle = (len(self.lanes) - 1) // 2
        return max(0, min(len(self.lanes) - 1, middle + priority))

    def _by_lane(self, deliveries: Sequence[Delivery]) -> Iterable[tuple[RedisQueue, Sequence[Delivery]]]:
        """What came from here, with the receipts that its lane gave. A receipt of another queue fits none."""
        for number, some in _grouped(deliveries, lambda delivery: self._number(delivery.receipt)):
            if number >= 0:
                yield (
                    self.lanes[number],
                    [each._replace(receipt=each.receipt.partition(MARK)[2]) for each in some],
                )

    def _number(self, receipt: str) -> int:
        number, mark, _ = receipt.partition(MARK)
        ours = mark and number.isdecimal() and int(number) < len(self.lanes)
        return int(number) if ours else -1


def redis_queue(url: str | None, name: str, lanes: Sequence[str], clock: Clock) -> RedisQueue | RedisLanes:
    """The queue that the settings ask for: of several lists, or the one called `name`. Raises ConfigError for a name that a
    cluster can't keep together."""
    return RedisLanes(url, lanes, clock) if lanes else RedisQueue(url, name, clock)


def _grouped(items: Sequence[Item], key: Callable[[Item], int]) -> list[tuple[int, Sequence[Item]]]:
    """In the order of their groups; within one as they came."""
    return [(number, list(some)) for number, some in groupby(sorted(items, key=key), key=key)]
