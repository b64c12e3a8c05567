"""Messages that come while a worker waits are read first and locked when they are taken: what happens in between counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from src.application.ports.exchange import Wanted
from src.application.ports.queue import Delivery, Envelope
from src.domain.job import Job, JobState
from src.infrastructure.clock import SystemClock
from src.infrastructure.db.exchange import FEW
from tests.adapters.postgres import make_database
from tests.adapters.test_postgres_exchange import Side, draft, left, open_side, publish, sorted_by_name
from tests.servers.shared import shared


@dataclass
class Meanwhile(SystemClock):
    """What is due happens while a receive waits."""

    due: list[Callable[[], object]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        if self.due:
            self.due.pop(0)()


@pytest.fixture
def url() -> str:
    return make_database(shared("postgres"))


@pytest.fixture
def side(url: str) -> Iterator[Side]:
    yield (made := open_side(url))
    made.queue.close()


def wait_for(
    side: Side, *due: Callable[[], object], between: Callable[[], object] = lambda: None
) -> tuple[Sequence[Job], Sequence[Delivery]]:
    """A receive that finds nothing, and looks again after each of `due`. `between` happens when messages were read."""

    def sort(deliveries: Sequence[Delivery]) -> tuple[Sequence[Wanted], Sequence[Delivery]]:
        between()
        return sorted_by_name(deliveries)

    side.queue.clock = Meanwhile(list(due))
    return side.exchange.receive(100, wait_seconds=5, visibility_seconds=30, owner="w1", lease_seconds=60, sort=sort)


def test_what_comes_during_a_wait_is_begun_in_one_commit(side: Side, url: str) -> None:
    def come() -> None:
        publish(side, "b", "a")
        publish(side, "first", priority=-1)

    jobs, others = wait_for(side, come)
    assert ([job.id for job in jobs], others) == (["first", "b", "a"], ())
    assert left(url) == 0
    for job in jobs:
        assert side.ledger.find(job.id) == job
    assert {job.state for job in jobs} == {JobState.RUNNING}


def test_a_message_that_another_worker_takes_meanwhile_is_left_to_it(side: Side, url: str) -> None:
    other = open_side(url)
    got: list[Sequence[Job]] = []
    found = wait_for(side, lambda: publish(side, "a", "b"), between=lambda: got.append(other.receive(1)[0]))
    assert [list(part) for part in found] == [[], []]
    assert [[job.id for job in jobs] for jobs in got] == [["a"]]
    assert left(url) == 1, "the other message is there for the next look"
    assert side.ledger.find("b") is None
    assert [job.id for job in side.receive()[0]] == ["b"]
    other.queue.close()


def test_a_message_that_is_locked_by_another_is_not_waited_for(side: Side, url: str) -> None:
    other = open_side(url)

    def hold() -> None:
        def first_here(deliveries: Sequence[Delivery]) -> tuple[Sequence[Wanted], Sequence[Delivery]]:
            # The other worker has its message locked and no row yet.
            found.append(wait_for(side, lambda: None))
            return sorted_by_name(deliveries)

        taken.append(
            other.exchange.receive(
                9, wait_seconds=0, visibility_seconds=30, owner="w2", lease_seconds=60, sort=first_here
            )
        )

    found: list[tuple[Sequence[Job], Sequence[Delivery]]] = []
    taken: list[tuple[Sequence[Job], Sequence[Delivery]]] = []
    publish(side, "a")
    hold()
    assert [[list(part) for part in one] for one in found] == [[[], []]]
    assert [job.id for job in taken[0][0]] == ["a"]
    row = side.ledger.find("a")
    assert row is not None
    assert (row.fence, row.lease_owner) == (1, "w2")
    other.queue.close()


def test_a_message_that_was_replaced_meanwhile_is_not_lost(side: Side, url: str) -> None:
    def replace() -> None:
        side.queue.publish([Envelope(body=b"new", key="a")])

    jobs, _ = wait_for(side, lambda: publish(side, "a"), between=replace)
    assert not jobs, "what was read is no longer what the message says"
    assert side.ledger.find("a") is None
    assert [job.id for job in side.receive()[0]] == ["new"]
    assert left(url) == 0


def test_what_is_no_new_short_job_is_received_as_ever(side: Side, url: str) -> None:
    jobs, others = wait_for(side, lambda: publish(side, "long-1", "a"))
    assert [job.id for job in jobs] == ["a"]
    assert [(delivery.body, delivery.receive_count) for delivery in others] == [(b"long-1", 1)]
    assert left(url) == 1


def test_a_job_that_the_ledger_knows_keeps_its_message_for_the_next_look(side: Side, url: str) -> None:
    side.ledger.admit(draft("a"))
    jobs, others = wait_for(side, lambda: publish(side, "a", "b"))
    assert ([job.id for job in jobs], others) == (["b"], ())
    assert left(url) == 1
    jobs, (other,) = side.receive()
    assert (jobs, other.body) == ([], b"a")


def test_many_are_locked_at_once(side: Side, url: str) -> None:
    names = [f"job-{number:03}" for number in range(FEW + 4)]
    seen: list[int] = []
    jobs, _ = wait_for(side, lambda: publish(side, *names), between=lambda: seen.append(1))
    assert [job.id for job in jobs] == names
    assert seen == [1], "they are read once"
    assert left(url) == 0
