"""Messages and short jobs change places in one commit, where queue and ledger are in one PostgreSQL database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from src.application.catalog import Catalog
from src.application.ports.exchange import Wanted
from src.application.ports.queue import RECEIVE_BYTES, Delivery, Envelope
from src.domain.errors import DatabaseUnavailable, InvalidPayload
from src.domain.job import Job, JobDraft, JobState
from src.infrastructure.clock import SystemClock
from src.infrastructure.db.engine import Database
from src.infrastructure.db.exchange import PostgresExchange
from src.infrastructure.db.ledger import SqlLedger
from src.infrastructure.db.postgres_queue import PostgresQueue
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.environment import load
from tests.adapters.postgres import execute, make_database
from tests.servers.shared import shared


@dataclass
class Side:
    """One worker's objects."""

    queue: PostgresQueue
    ledger: SqlLedger
    exchange: PostgresExchange

    def receive(self, limit: int = 100) -> tuple[Sequence[Job], Sequence[Delivery]]:
        return self.exchange.receive(
            limit, wait_seconds=0, visibility_seconds=30, owner="w1", lease_seconds=60, sort=sorted_by_name
        )


def sorted_by_name(deliveries: Sequence[Delivery]) -> tuple[Sequence[Wanted], Sequence[Delivery]]:
    """Whatever is called long is no short job."""
    short = [delivery for delivery in deliveries if not delivery.body.startswith(b"long")]
    return [(delivery, draft(delivery.body.decode())) for delivery in short], [
        delivery for delivery in deliveries if delivery not in short
    ]


def draft(name: str) -> JobDraft:
    return JobDraft(id=name, type="quick", tenant="acme", payload={"name": name, "text": "\u00e9 \\ \x1f"}, trace=None)


@pytest.fixture
def url() -> str:
    return make_database(shared("postgres"))


@pytest.fixture
def side(url: str) -> Iterator[Side]:
    yield (made := open_side(url))
    made.queue.close()


def open_side(url: str) -> Side:
    database = Database(url)
    queue = PostgresQueue(database, "video", SystemClock())
    return Side(queue, SqlLedger(database), PostgresExchange(queue))


def publish(side: Side, *names: str, priority: int = 0) -> None:
    side.queue.publish([Envelope(body=name.encode(), key=name, priority=priority) for name in names])


def left(url: str) -> int:
    ((count,),) = execute(url, "SELECT count(*) FROM queue_messages")
    return int(str(count))


def test_the_message_goes_in_the_commit_that_begins_its_job(side: Side, url: str) -> None:
    publish(side, "a", "b")
    publish(side, "first", priority=-1)
    jobs, others = side.receive()
    assert [job.id for job in jobs] == ["first", "a", "b"]
    assert others == ()
    assert left(url) == 0
    for job in jobs:
        assert side.ledger.find(job.id) == job, "what is held is what the row says"
    assert {job.state for job in jobs} == {JobState.RUNNING}
    assert side.receive() == ((), ())


def test_what_is_no_short_job_is_received_as_ever(side: Side, url: str) -> None:
    publish(side, "long-1", "a", "long-2")
    jobs, others = side.receive()
    assert [job.id for job in jobs] == ["a"]
    assert [(delivery.body, delivery.receive_count) for delivery in others] == [(b"long-1", 1), (b"long-2", 1)]
    assert side.receive() == ((), ()), "hidden"
    side.queue.ack(others[:1])
    side.queue.release(others[1], delay_seconds=0)
    (again,) = side.queue.receive(9, wait_seconds=0, visibility_seconds=30)
    assert (again.body, again.receive_count) == (b"long-2", 2)
    side.queue.ack(others)
    assert left(url) == 1, "the old receipt is stale"
    side.queue.ack([again])
    assert left(url) == 0


def test_large_messages_come_a_few_at_a_time_and_the_others_are_free(side: Side) -> None:
    bodies = [b"long-%d " % number + b"x" * 2**20 for number in range(20)]
    side.queue.publish([Envelope(body=body, key=str(number)) for number, body in enumerate(bodies)])
    publish(side, "a")
    found: list[bytes] = []
    begun: list[str] = []
    for _ in range(3):
        jobs, others = side.receive()
        assert sum(len(delivery.body) for delivery in others[:-1]) < RECEIVE_BYTES
        found += [delivery.body for delivery in others]
        begun += [job.id for job in jobs]
    assert (found, begun) == (bodies, ["a"])


def test_a_job_that_the_ledger_knows_keeps_its_message(side: Side, url: str) -> None:
    side.ledger.admit(draft("a"))
    publish(side, "a", "b")
    jobs, (other,) = side.receive()
    assert [job.id for job in jobs] == ["b"]
    assert other.body == b"a"
    assert left(url) == 1
    row = side.ledger.find("a")
    assert row is not None
    assert row.state is JobState.QUEUED, "only a claim may move it"


def test_two_workers_at_once_never_get_the_same(side: Side, url: str) -> None:
    other = open_side(url)
    publish(side, *[f"job-{number:03}" for number in range(60)])
    got: list[Sequence[Job]] = []

    def between(deliveries: Sequence[Delivery]) -> tuple[Sequence[Wanted], Sequence[Delivery]]:
        # While the first has its messages and has not committed.
        got.append(other.receive(20)[0])
        return sorted_by_name(deliveries)

    jobs, _ = side.exchange.receive(
        20, wait_seconds=0, visibility_seconds=30, owner="w2", lease_seconds=60, sort=between
    )
    assert len(jobs) == len(got[0]) == 20
    assert not {job.id for job in jobs} & {job.id for job in got[0]}
    assert left(url) == 20
    other.queue.close()


def test_k05_death_before_the_commit_leaves_the_messages(side: Side, url: str) -> None:
    publish(side, "a", "b")

    def die(deliveries: Sequence[Delivery]) -> tuple[Sequence[Wanted], Sequence[Delivery]]:
        # Not the connection that says so: it says the word, too.
        looks = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%worker_look%'"
        execute(url, looks + " AND pid <> pg_backend_pid()")
        return sorted_by_name(deliveries)

    with pytest.raises(DatabaseUnavailable):
        side.exchange.receive(9, wait_seconds=0, visibility_seconds=30, owner="w", lease_seconds=60, sort=die)
    assert left(url) == 2
    assert side.ledger.find("a") is None
    assert [job.id for job in side.receive()[0]] == ["a", "b"], "visible at once: nothing was hidden"


def test_a_value_that_cannot_be_kept_leaves_the_messages(side: Side, url: str) -> None:
    publish(side, "a", "b")

    def bad(deliveries: Sequence[Delivery]) -> tuple[Sequence[Wanted], Sequence[Delivery]]:
        wanted, others = sorted_by_name(deliveries)
        return [(wanted[0][0], draft("a\x1fb")), *wanted[1:]], others

    with pytest.raises(InvalidPayload):
        side.exchange.receive(9, wait_seconds=0, visibility_seconds=30, owner="w", lease_seconds=60, sort=bad)
    assert left(url) == 2
    assert side.ledger.find("b") is None


def test_a_backlog_is_not_walked_over(side: Side, url: str) -> None:
    """The plan of a table that grew since it was planned: by the index, never by reading all of it."""
    publish(side, "a")
    for _ in range(8):
        side.receive()
        publish(side, "a", "b")
    execute(
        url,
        "INSERT INTO queue_messages (queue, key, body, attributes, priority, visible_at, enqueued_at, receive_count) "
        "SELECT 'video', 'k' || n, 'x', '{}', 5, 0, 0, 0 FROM generate_series(1, 20000) AS n",
    )
    before = _read(url)
    jobs, others = side.receive(20)
    assert len(jobs) + len(others) == 20
    side.queue.ack(others)
    assert _read(url) - before == 0, "tables read from end to end"


def _read(url: str) -> int:
    execute(url, "SELECT pg_stat_force_next_flush()")
    ((count,),) = execute(
        url, "SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ('queue_messages', 'jobs')"
    )
    return int(str(count))


@pytest.mark.parametrize(
    ("more", "there"),
    [
        ({}, True),
        ({"WORKER_QUEUE__URL": "postgresql://postgres@127.0.0.1:1/other"}, False),
        ({"WORKER_LEDGER__BACKEND": "redis", "WORKER_REDIS__URL": "redis://127.0.0.1:1"}, False),
    ],
)
def test_only_where_both_are_in_one_database(url: str, more: dict[str, str], there: bool) -> None:
    settings = load({"WORKER_DATABASE__URL": url, "WORKER_QUEUE__BACKEND": "postgres", **more})
    found = build(settings, Catalog([])).exchange()
    assert (found is not None) is there


def test_payloads_are_kept_as_they_came(side: Side, url: str) -> None:
    publish(side, "a")
    (job,), _ = side.receive()
    ((payload,),) = execute(url, "SELECT payload::text FROM jobs")
    assert json.loads(str(payload)) == job.payload == draft("a").payload
