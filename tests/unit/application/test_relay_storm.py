"""I11: relays that die at any step, a sink that is moody, and events that it never takes. Each event is sent at least once, those of
a job in their order, and only what the sink never takes is parked."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from src.application.events.relay import LEAD_SECONDS, LONGEST_PAUSE_SECONDS, Relay
from src.application.ports.outbox import Announced, JobEvent
from src.domain.errors import DatabaseUnavailable, NetworkError
from src.infrastructure.memory.outbox import MemoryOutbox
from tests.fakes.clock import FrozenClock

JOBS, EVENTS, ROUNDS, SHARE = 30, 200, 400, 0.03


class Killed(BaseException):
    """As by SIGKILL: nothing of the relay runs afterwards."""


@dataclass
class Moody:
    """EventSink. Never takes what is `bad`; at times nothing."""

    dice: random.Random
    bad: set[str]
    away: bool = False
    calm: bool = False
    came: list[JobEvent] = field(default_factory=list)

    def send(self, event: JobEvent) -> None:
        """Perhaps."""
        if self.away or event.id in self.bad:
            raise NetworkError("503")
        self.came.append(event)
        if not self.calm and self.dice.random() < SHARE:
            raise Killed


@dataclass
class Shaky(MemoryOutbox):
    """At times its caller dies, or it does not answer."""

    dice: random.Random = field(default_factory=random.Random)
    calm: bool = False

    def _shake(self) -> None:
        drawn = 1.0 if self.calm else self.dice.random()
        if drawn < SHARE:
            raise Killed
        if drawn < 2 * SHARE:
            raise DatabaseUnavailable("away")

    def sent(self, sink: str, ids: object) -> None:
        """Before or after."""
        self._shake()
        super().sent(sink, ids)  # type: ignore[arg-type]
        self._shake()

    def hold(self, sink: str, event_id: str, *, tries: int, error: str, seconds: float | None) -> None:
        """Before or after."""
        self._shake()
        super().hold(sink, event_id, tries=tries, error=error, seconds=seconds)
        self._shake()


@pytest.mark.parametrize("seed", range(12))
def test_i11_whatever_dies_each_event_arrives_in_its_job_s_order(seed: int) -> None:
    dice, clock = random.Random(seed), FrozenClock()
    outbox = Shaky(clock, dice=dice)
    written: dict[str, list[str]] = defaultdict(list)
    names = [f"e{number}" for number in range(EVENTS)]
    sink = Moody(dice, bad=set(dice.sample(names, 3)))
    born = 0

    def relay() -> Relay:
        nonlocal born
        born += 1
        return Relay(outbox, {"a": sink}, f"w{born}", clock, batch=10)

    relays = [relay(), relay()]
    for turn in range(ROUNDS + 400):
        if turn == ROUNDS:
            outbox.calm = sink.calm = True
            sink.away = False
        for name in names[turn * 2 : turn * 2 + 2]:
            job = f"j{dice.randrange(JOBS)}"
            written[job].append(name)
            event = JobEvent(id=name, type="x", at=1.0, job_id=job, tenant="t", subject=None, data={})
            outbox.announce(Announced(event, ("a",)), 0.0)
        if turn < ROUNDS and turn % 20 == 0:
            sink.away = dice.random() < 0.3
        for place, each in enumerate(relays):
            try:
                each.tick()
            except Killed:
                relays[place] = relay()
            except DatabaseUnavailable:
                pass
        clock.advance(LEAD_SECONDS if turn < ROUNDS else LONGEST_PAUSE_SECONDS + LEAD_SECONDS)

    assert born > 12, "many died"
    first: dict[str, list[str]] = defaultdict(list)
    for event in sink.came:
        if event.id not in first[event.job_id]:
            first[event.job_id].append(event.id)
    for job, ids in written.items():
        upto = next((place for place, name in enumerate(ids) if name in sink.bad), len(ids))
        assert first[job] == ids[:upto], f"{job}: all before one that is never taken, in order, and none behind it"
    assert {each.event.id for each in outbox.kept("a", EVENTS, parked=True)} <= sink.bad
