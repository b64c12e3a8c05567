"""F37 at a real receiver: one event that it answers 5xx to, and one that it breaks off at, keep no other from arriving."""

from __future__ import annotations

from src.application.events.body import BodyFormat
from src.application.events.relay import PAUSES, Relay
from src.application.ports.outbox import Announced, JobEvent
from src.infrastructure.events.webhook import WebhookSink
from src.infrastructure.memory.outbox import MemoryOutbox
from tests.fakes.clock import FrozenClock
from tests.functional.receivers import Received, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def write(outbox: MemoryOutbox, name: str, job: str) -> None:
    event = JobEvent(id=name, type="worker.x", at=1.0, job_id=job, tenant="t", subject=None, data={})
    outbox.announce(Announced(event, ("webhook",)), 0.0)


def test_f37_two_bad_events_of_a_hundred_are_parked_and_go_when_they_are_let() -> None:
    clock = FrozenClock()
    outbox = MemoryOutbox(clock)
    with receiving(Received(refuses={"e40": 503, "e60": 0})) as receiver:
        sink = WebhookSink(receiver.address, SECRET, BodyFormat.PLAIN, "test", clock)
        relay = Relay(outbox, {"webhook": sink}, "w1", clock)
        for number in range(100):
            write(outbox, f"e{number}", f"j{number % 20}")
        relay.tick()
        behind = {"e40", "e60", "e80"}
        assert [name for name in receiver.ids if name not in behind] == [
            f"e{number}" for number in range(100) if f"e{number}" not in behind
        ]
        for turn, pause in enumerate(PAUSES):
            clock.advance(pause)
            write(outbox, f"more{turn}", f"more{turn}")
            relay.tick()
        (parked,) = outbox.kept("webhook", 10, parked=True)
        assert parked.hold is not None
        assert (parked.event.id, parked.hold.tries) == ("e40", len(PAUSES) + 1)
        assert parked.hold.error == "webhook answered 503"
        assert "e60" not in receiver.ids, "it waits behind it, being of the same job"
        outbox.sent("webhook", ["e40"])
        for turn, pause in enumerate((0.0, *PAUSES)):
            clock.advance(pause)
            write(outbox, f"other{turn}", f"other{turn}")
            relay.tick()
        (parked,) = outbox.kept("webhook", 10, parked=True)
        assert parked.hold is not None
        assert (parked.event.id, "RemoteProtocolError" in parked.hold.error) == ("e60", True)
        receiver.refuses.clear()
        outbox.release("webhook", ["e60"])
        relay.tick()
        assert receiver.ids[-2:] == ["e60", "e80"]
        assert outbox.waiting() == {}
        sink.close()
