"""The queue on PostgreSQL: what it has beyond the contract of every queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from src.application.catalog import Catalog
from src.application.ports.queue import Delivery, Envelope
from src.domain.errors import QueueUnavailable
from src.infrastructure.clock import SystemClock
from src.infrastructure.db import postgres_queue
from src.infrastructure.db.engine import Database
from src.infrastructure.db.notifications import Listener
from src.infrastructure.db.postgres_queue import PUBLISH, PostgresQueue
from src.infrastructure.db.server import ServerOptions
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.environment import load
from tests.adapters.postgres import execute, make_database
from tests.functional.fleet import wait_for
from tests.servers.shared import shared

LONG = 3600.0
"""A wait that no test can sit out: if nothing wakes it, the test fails by its own timeout."""

LISTENERS = "SELECT query FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"

Open = Callable[..., PostgresQueue]


@pytest.fixture
def url() -> str:
    return make_database(shared("postgres"))


@pytest.fixture
def queue(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    monkeypatch.setattr(postgres_queue, "FLOOR_SECONDS", LONG)
    opened: list[PostgresQueue] = []

    def make(*, listen: bool = True, poll_seconds: float = LONG, pooler: bool = False) -> PostgresQueue:
        database = Database(url, server=ServerOptions(transaction_pooler=pooler))
        opened.append(PostgresQueue(database, "video", SystemClock(), poll_seconds, listen=listen))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


class Receiving(threading.Thread):
    """A consumer that waits in a thread of its own."""

    def __init__(self, queue: PostgresQueue) -> None:
        super().__init__(daemon=True)
        self.queue = queue
        self.got: Sequence[Delivery] = ()
        self.start()

    def run(self) -> None:
        self.got = self.queue.receive(10, wait_seconds=LONG, visibility_seconds=30)

    def bodies(self) -> list[bytes]:
        self.join()
        return [delivery.body for delivery in self.got]


def listening(url: str, queue: PostgresQueue) -> None:
    """Returns when the server knows of the listener, or the first look may still find the message."""
    done = threading.Event()
    while queue.channel not in str(execute(url, LISTENERS)):
        done.wait(0.01)
    done.wait(0.1)


def envelope(name: str, *, delay: float = 0.0) -> Envelope:
    return Envelope(body=name.encode(), key=name, delay_seconds=delay)


def take(queue: PostgresQueue, limit: int = 10) -> Sequence[Delivery]:
    return queue.receive(limit, wait_seconds=0, visibility_seconds=30)


# ---------------------------------------------------------------------- waking
def test_a_waiting_receive_ends_when_something_is_published(queue: Open, url: str) -> None:
    waiting = Receiving(queue())
    listening(url, waiting.queue)
    queue().publish([envelope("a")])
    assert waiting.bodies() == [b"a"]


def test_a_waiting_receive_ends_when_a_message_is_given_back(queue: Open, url: str) -> None:
    queue().publish([envelope("a")])
    other = queue()
    (held,) = take(other)
    waiting = Receiving(queue())
    listening(url, waiting.queue)
    other.release(held, delay_seconds=0)
    assert waiting.bodies() == [b"a"]


def test_a_waiting_receive_ends_when_a_delayed_message_is_brought_forward(queue: Open, url: str) -> None:
    queue().publish([envelope("a", delay=LONG)])
    waiting = Receiving(queue())
    listening(url, waiting.queue)
    queue().publish([envelope("a")])
    assert waiting.bodies() == [b"a"]


def test_f46_a_listener_that_was_cut_listens_again(queue: Open, url: str) -> None:
    waiting = Receiving(queue(poll_seconds=0.05))
    listening(url, waiting.queue)
    execute(url, LISTENERS.replace("query FROM", "pg_terminate_backend(pid) FROM"))
    queue().publish([envelope("a")])
    assert waiting.bodies() == [b"a"], "it polls meanwhile"
    again = Receiving(waiting.queue)
    listening(url, waiting.queue)
    queue().publish([envelope("b")])
    assert again.bodies() == [b"b"]


def test_f46_what_was_published_before_it_listened_again_is_looked_for_at_once(queue: Open, url: str) -> None:
    ears = Listener(Database(url), queue().channel)
    assert ears.wait(LONG), "it listens from now on, and nobody has looked since"
    queue().publish([envelope("a")])
    assert ears.wait(LONG), "heard"
    ears.close()
    ears.database.close()


def test_where_notifications_do_not_get_through_it_polls(queue: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Listener, "_hear", staticmethod(lambda _connection, _seconds: False))
    deaf = queue(poll_seconds=0.05)
    waiting = Receiving(deaf)
    queue().publish([envelope("a")])
    assert waiting.bodies() == [b"a"]
    assert list(deaf.check())[-1] == "polls: notifications do not get through"


def test_behind_a_pooler_it_polls_and_keeps_no_connection_for_listening(queue: Open, url: str) -> None:
    waiting = Receiving(queue(poll_seconds=0.05, pooler=True))
    queue(pooler=True).publish([envelope("a")])
    assert waiting.bodies() == [b"a"]
    assert not execute(url, LISTENERS)


def test_closing_gives_every_connection_back(queue: Open, url: str) -> None:
    one = queue()
    one.publish([envelope("a")])
    assert list(one.check())[-1] == "is woken by NOTIFY"
    one.close()
    ours = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'mediaworker' AND datname = current_database()"
    # The server's process for a connection takes a moment to go after the connection.
    wait_for(lambda: not execute(url, ours), 30, "no connection of ours is left")


# ---------------------------------------------------------------------- many messages
def test_a_bulk_is_received_in_its_order(queue: Open) -> None:
    one = queue()
    one.publish([envelope(str(number)) for number in range(5000)])
    taken: list[Delivery] = []
    while deliveries := take(one, 500):
        taken.extend(deliveries)
    assert [int(delivery.body) for delivery in taken] == list(range(5000))
    one.ack(taken)
    assert one.depth().in_flight == 0


def test_large_bodies_go_in_several_statements(queue: Open) -> None:
    one, body = queue(), b"\x00\xff" * 500_000
    one.publish([Envelope(body=body, key=str(number)) for number in range(9)])
    assert [delivery.body == body for delivery in take(one)] == [True] * 9


def test_publishers_of_the_same_keys_at_once_do_not_fail(queue: Open) -> None:
    keys = [str(number) for number in range(300)]
    queue().publish([envelope(key) for key in keys])
    gate, failed = threading.Barrier(4), []

    def publish(order: Sequence[str]) -> None:
        mine = queue()
        gate.wait()
        for _ in range(5):
            try:
                mine.publish([envelope(key) for key in order])
            except QueueUnavailable as error:
                failed.append(error)

    threads = [threading.Thread(target=publish, args=(order,)) for order in (keys, keys[::-1]) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert queue().depth().ready == 300


ARRAYS = {"keys": "$2", "bodies": "$3", "attributes": "$4", "priorities": "$5", "delays": "$6"}
PLANNED = {
    "publish": (
        PUBLISH % {"queue": "$1::text", **ARRAYS, "wake": "false", "channel": "'c'"},
        """('video', '{a}', '{"x"}', '{"{}"}', '{0}', '{0}')""",
    ),
}


FUNCTIONS = {
    "worker_take": ("('video', 100, 30)", "queue_messages_ready"),
    "worker_look": ("('video', 100, 16384)", "queue_messages_ready"),
    "worker_ack": ("('video', '{1,2}', '{1:1,2:1}')", "queue_messages_pkey"),
}


def explained(url: str, statement: str, values: str, settings: Sequence[str] = ()) -> str:
    """The plan of a statement that was prepared once for all values: what a worker runs after its first few receives."""
    with psycopg.connect(url) as connection:
        for setting in ("plan_cache_mode = force_generic_plan", *settings):
            connection.execute(f"SET {setting}".encode())
        connection.execute(f"PREPARE one AS {statement}".encode())
        rows = connection.execute(f"EXPLAIN EXECUTE one {values}".encode()).fetchall()
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("backlog", [5_000, 20_000])
def test_no_statement_reads_or_sorts_a_long_backlog(queue: Open, url: str, backlog: int, analyzed: bool) -> None:
    queue().publish([envelope(str(number)) for number in range(backlog)])
    if analyzed:
        execute(url, "ANALYZE queue_messages")
    for name, (statement, values) in PLANNED.items():
        assert "Seq Scan on queue_messages" not in explained(url, statement, values), name
    for function, (values, index) in FUNCTIONS.items():
        ((body, settings),) = execute(url, f"SELECT prosrc, proconfig FROM pg_proc WHERE proname = '{function}'")  # noqa: S608
        assert isinstance(settings, list)
        plan = explained(url, str(body), values, settings)
        assert f"using {index}" in plan, function
        for costly in ("Sort", "Bitmap", "Seq Scan"):
            assert costly not in plan, function


# ---------------------------------------------------------------------- wiring
def test_the_queue_may_live_in_another_database(url: str, tmp_path: Path) -> None:
    other = make_database(shared("postgres"))
    environ = {
        "WORKER_DATA_DIR": str(tmp_path),
        "WORKER_DATABASE__URL": url,
        "WORKER_QUEUE__BACKEND": "postgres",
        "WORKER_QUEUE__URL": other,
    }
    adapters = build(load(environ), Catalog(()))
    adapters.queue().publish([envelope("a")])
    assert execute(url, "SELECT count(*) FROM queue_messages") == [(0,)]
    assert execute(other, "SELECT count(*) FROM queue_messages") == [(1,)]
    adapters.queue().close()


def test_by_default_queue_and_ledger_share_one_budget_of_connections(url: str, tmp_path: Path) -> None:
    environ = {"WORKER_DATA_DIR": str(tmp_path), "WORKER_DATABASE__URL": url, "WORKER_QUEUE__BACKEND": "postgres"}
    adapters = build(load(environ), Catalog(()))
    assert adapters.queue().database is adapters.database()
    assert adapters.database().server.max_connections == 8
