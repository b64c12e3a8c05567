"""Events of other systems become jobs: once each, whatever they are wrapped in, and with the reason kept when they can't."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from src.application.catalog import Catalog, JobType
from src.application.content.job_types import JOB_TYPES
from src.application.decoders.decoded import Requests
from src.application.decoders.registry import Decoders
from src.application.decoders.settings import DecoderSettings
from src.application.dispatch import QueueDispatch
from src.application.engine.health import WEDGED_SECONDS, Health
from src.application.events.hear import Hearing
from src.application.events.listen import Listener
from src.application.ports.event_source import Heard
from src.application.ports.ledger import DeadLetterFilter, JobFilter
from src.domain.errors import DatabaseUnavailable, QueueUnavailable, TenantMismatch
from src.infrastructure.memory.dead_letters import MemoryDeadLetters
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.queue import MemoryQueue
from tests.fakes.clock import FrozenClock


def parse_index(_tenant: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    return payload


class Office:
    """A listener's surroundings."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.letters = MemoryDeadLetters(self.clock)
        self.ledger = MemoryLedger(self.clock, self.letters)
        self.queue = MemoryQueue(self.clock)
        index = JobType(name="index", parse=parse_index, handler="nowhere:None")
        catalog = Catalog([*(each for each in JOB_TYPES if each.name != "index"), index])
        decoders = Decoders(catalog, DecoderSettings(max_bytes=10_000))
        self.hearing = Hearing(self.ledger, QueueDispatch(self.queue), self.letters, decoders, self.clock)

    def hear(self, kind: str | None, document: Any, name: str | None = "1-0", source: str = "s") -> Sequence[str]:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.hearing.hear(Heard(source=source, id=name, type=kind, body=body), "fresh")

    def jobs(self) -> dict[str, Mapping[str, Any]]:
        return {job.type: job.payload for job in self.ledger.list(JobFilter())}

    def reasons(self) -> list[str]:
        return [letter.error.code for letter in self.letters.list(DeadLetterFilter())]


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.mark.parametrize(
    ("kind", "document", "jobs"),
    [
        (
            "content.created",
            {"content_id": "c1"},
            {"thumbnail": {"content_id": "c1"}, "metadata": {"content_id": "c1"}},
        ),
        (
            "content.created",
            {"content_id": "c1", "file_path": "films/c1.mp4"},
            {name: {"content_id": "c1", "file_path": "films/c1.mp4"} for name in ("thumbnail", "metadata")},
        ),
        ("content.updated", {"content_id": "c1"}, {"index": {"content_id": "c1"}}),
        ("content.deleted", {"content_id": "c1"}, {"index": {"content_id": "c1", "removed": True}}),
        ("cache.warm_request", {"content_id": "c1"}, {"cache_warm": {"content_id": "c1"}}),
        ("content.viewed", {"content_id": "c1"}, {}),
    ],
)
def test_c4_an_event_asks_for_its_jobs(office: Office, kind: str, document: Any, jobs: dict[str, Any]) -> None:
    made = office.hear(kind, document)
    assert office.jobs() == jobs
    assert len(made) == len(jobs)
    assert office.queue.depth().ready == len(jobs)


WRAPPED: list[dict[str, Any]] = [
    {"event_type": "content.updated", "source_block": "content", "target_block": None, "payload": {"content_id": "c1"}},
    {"specversion": "1.0", "id": "e1", "source": "/x", "type": "content.updated", "data": {"content_id": "c1"}},
]


@pytest.mark.parametrize("document", WRAPPED)
def test_c4_envelopes_are_opened_whatever_the_road_calls_them(office: Office, document: Any) -> None:
    office.hear(None, document)
    assert office.jobs() == {"index": {"content_id": "c1"}}


@pytest.mark.parametrize(
    "document",
    [
        {"specversion": "1.0", "id": "e1", "source": "/x", "type": "content.created", "tenantid": "acme"},
        {"event_type": "content.created", "tenant_id": "acme"},
        {"tenant": "acme"},
    ],
)
def test_t13_an_events_tenant_is_its_jobs_on_this_road_too(office: Office, document: dict[str, Any]) -> None:
    film = {"content_id": "c1", "file_path": "tenants/acme/raw/c1.mp4"}
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    inside = {"data": film} if "specversion" in document else {"payload": film} if "event_type" in document else film
    office.hear("content.created", {**document, **inside, "traceparent": trace})
    assert office.reasons() == []
    assert [(job.tenant, job.trace) for job in office.ledger.list(JobFilter())] == [("acme", trace)] * 2


def test_e2_an_event_heard_twice_is_the_same_jobs(office: Office) -> None:
    assert len(office.hear("content.created", {"content_id": "c1"})) == 2
    assert office.hear("content.created", {"content_id": "c1"}) == []
    assert len(office.hear("content.created", {"content_id": "c1"}, name="2-0")) == 2
    cloud = {"specversion": "1.0", "id": "e1", "source": "/x", "type": "content.updated", "data": {"content_id": "c1"}}
    assert len(office.hear(None, cloud, name=None)) == 1
    assert office.hear(None, cloud, name=None) == []


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"content_id": "c1", "file_path": "tenants/other/c1.mp4"}, "content.created"),
        ({"event_type": "content.created", "payload": {"content_id": "c1", "file_path": "tenants/other/c1.mp4"}}, None),
    ],
)
def test_e7_a_letter_of_an_event_can_be_requeued(office: Office, document: Any, kind: str | None) -> None:
    office.hear(kind, document)
    (letter,) = office.letters.list(DeadLetterFilter())
    mended = letter.body.replace(b"tenants/other/", b"")
    asked = office.hearing.decoders.decode(mended, letter.attributes)
    assert isinstance(asked, Requests)
    assert [(draft.type, draft.payload["content_id"]) for draft in asked.drafts] == [
        ("thumbnail", "c1"),
        ("metadata", "c1"),
    ]
    with pytest.raises(TenantMismatch):
        office.hearing.decoders.decode(letter.body, letter.attributes)


@pytest.mark.parametrize("more", [{"schema_version": 2}, {"v": "3.1"}])
def test_e11_an_event_of_a_newer_schema_is_kept_and_not_guessed_at(office: Office, more: dict[str, Any]) -> None:
    office.hear("content.deleted", {"content_id": "c1", **more})
    assert office.jobs() == {}
    assert office.reasons() == ["invalid_message"]
    assert office.letters.list(DeadLetterFilter())[0].error.message.count("is newer than this worker")


@pytest.mark.parametrize("document", [{**WRAPPED[0], "event_id": "e1"}, WRAPPED[1]])
def test_e2_an_event_with_an_id_that_takes_both_roads_is_the_same_jobs(office: Office, document: Any) -> None:
    assert len(office.hear("content.updated", document, name=None, source="content.updated")) == 1
    assert office.hear(None, document, name="1-0", source="content.events") == []
    other = {**document, "source": "/y"} if "source" in document else {**document, "source_block": "y"}
    assert len(office.hear(None, other, name="2-0", source="content.events")) == 1


@pytest.mark.parametrize(
    "document",
    [
        b"\x80\x04pickled.",
        b"{nonsense",
        b"[1]",
        b'{"content_id": "' + b"x" * 20_000 + b'"}',
        {},
        {"content_id": "../../etc/passwd"},
        {"content_id": ["c1"]},
        {"content_id": "c1", "file_path": "../../etc/passwd"},
        {"event_type": "content.created", "payload": "c1"},
    ],
)
def test_f28_what_can_not_be_understood_is_kept_once_with_the_reason(office: Office, document: Any) -> None:
    for _ in range(2):
        assert office.hear("content.created", document) == []
    assert office.jobs() == {}
    assert len(office.reasons()) == 1


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("content.viewed", b"17"),
        ("content.progress_updated", b"\x80\x04pickled."),
        ("content.viewed", {"content_id": "c1", "v": "first"}),
        ("content.viewed", {"content_id": "c1", "schema_version": 2}),
        ("content.viewed", {"content_id": "c1", "tenant": {"name": "acme"}}),
        (None, {"event_type": "content.viewed", "payload": "c1"}),
        (None, {"event_type": "content.viewed", "payload": {"id": 1}, "schema_version": 7}),
        (None, {"specversion": "1.0", "id": "e1", "source": "/x", "type": "content.viewed", "data": [1]}),
        ("content.created", {"event_type": "content.viewed", "payload": None}),
    ],
)
def test_c4_events_of_others_are_passed_over_however_they_look(office: Office, kind: str | None, document: Any) -> None:
    """The stream has the whole platform's events: a dead letter of each, with word to an administrator, would drown all others."""
    assert office.hear(kind, document) == []
    assert (office.jobs(), office.reasons()) == ({}, [])


# ---------------------------------------------------------------------- the listener
@dataclass
class Road:
    """A road that gives what it was given."""

    events: list[Heard] = field(default_factory=list)
    answered: list[Heard] = field(default_factory=list)
    remembers: bool = False

    def receive(self, *, wait_seconds: float) -> Sequence[Heard]:
        found, self.events = self.events, []
        return found

    def done(self, heard: Sequence[Heard]) -> None:
        self.answered += heard

    def check(self) -> None:
        """Always there."""

    def close(self) -> None:
        """Nothing to close."""


def event(number: int, name: str | None = None) -> Heard:
    body = json.dumps({"content_id": f"c{number}"}).encode()
    return Heard(source="s", id=name, type="content.updated", body=body, receipt=str(number))


def test_f11_events_wait_for_a_ledger_that_is_away_and_are_answered_when_they_are_jobs(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    road = Road([event(1), event(2)])
    listener = Listener(road, office.hearing)
    admit = office.ledger.admit

    def away(*_args: Any) -> Any:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(office.ledger, "admit", away)
    assert listener.turn() > 0
    road.events.append(event(3))
    assert listener.turn() > 0
    assert road.answered == []
    monkeypatch.setattr(office.ledger, "admit", admit)
    assert listener.turn() == 0.0
    assert [heard.receipt for heard in road.answered] == ["1", "2", "3"]
    assert len(office.ledger.rows()) == 3


def test_of_several_listeners_one_acts_on_events_that_everybody_hears(office: Office) -> None:
    for acts in (True, False):
        Listener(Road([event(1), event(2, "e2")]), office.hearing, lambda acts=acts: acts).turn()  # type: ignore[misc]
    assert len(office.ledger.rows()) == 2, "the one without an id once, the one with an id once"


class Lead:
    """One of several may act; the database may be away."""

    def __init__(self) -> None:
        self.owner = "a"
        self.away = False

    def may(self, owner: str) -> bool:
        if self.away:
            raise DatabaseUnavailable("away")
        return self.owner == owner


def test_f11_events_without_an_id_wait_too_while_nobody_knows_who_acts(office: Office) -> None:
    lead = Lead()
    road = Road([event(1), event(2)])
    listener = Listener(road, office.hearing, lambda: lead.may("a"))
    lead.away = True
    assert listener.turn() > 0
    road.events.append(event(3))
    assert listener.turn() > 0
    lead.away = False
    assert listener.turn() == 0.0
    assert len(office.ledger.rows()) == 3


def test_what_was_said_between_a_listeners_death_and_its_replacement_is_not_lost(office: Office) -> None:
    lead = Lead()
    roads = {name: Road([event(1)]) for name in "ab"}
    a, b = (Listener(road, office.hearing, lambda name=name: lead.may(name)) for name, road in roads.items())  # type: ignore[misc]
    a.turn()
    b.turn()
    office.clock.advance(5)  # `a` is killed here, and its lead lasts for another ten seconds
    roads["b"].events.append(event(2))
    b.turn()
    assert len(office.ledger.rows()) == 1
    office.clock.advance(10)
    lead.owner = "b"
    b.turn()
    assert len(office.ledger.rows()) == 2, "the second event, and not the first one again"


def test_f28_an_event_that_trips_over_a_bug_is_kept_aside_and_the_others_go_on(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    admit = office.ledger.admit

    def trips(draft: Any) -> Any:
        if draft.payload["content_id"] == "c1":
            raise ValueError("nobody foresaw this")
        return admit(draft)

    monkeypatch.setattr(office.ledger, "admit", trips)
    listener = Listener(Road([event(1, "1-0"), event(2, "2-0")]), office.hearing)
    while listener.turn():
        assert len(office.ledger.rows()) == 0
    assert len(office.ledger.rows()) == 1
    assert office.reasons() == ["unexpected"]


def test_a_road_that_remembers_is_not_read_while_its_events_wait(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: Any) -> Any:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(office.ledger, "admit", away)
    road = Road([event(1, "1-0")], remembers=True)
    listener = Listener(road, office.hearing)
    assert listener.turn() > 0
    road.events.append(event(1, "1-0"))
    assert listener.turn() > 0
    assert len(road.events) == 1, "the same entry would be kept again and again, until `event.lost` was said of it"


def test_f45_an_event_of_several_jobs_tells_of_itself_while_the_queue_hangs(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage restarts nothing."""
    clock, lived = FrozenClock(), list[bool]()
    health = Health(clock)
    office.hearing = replace(office.hearing, goes_on=health.goes_on)

    def hang(_envelopes: object) -> None:
        clock.advance(WEDGED_SECONDS - 5)
        lived.append(health.live())
        raise QueueUnavailable("no answer")

    monkeypatch.setattr(office.queue, "publish", hang)
    health.turned("events-stream")
    assert len(office.hear("content.created", {"content_id": "c1", "event_id": "e1"})) == 2
    assert lived == [True] * 2
