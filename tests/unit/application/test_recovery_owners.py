"""Every state that is not an end has one recovery owner; a row aged in each state is brought back by it (mission.md E3)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from src.domain.job import ACTIVE_STATES, Job, JobState
from tests.fakes.world import LEASE, World

TABLE = Path(__file__).parents[3] / "docs" / "guarantees.md"


def queued(world: World) -> None:
    world.submit("job-1", published=False)


def running(world: World) -> None:
    world.submit("job-1")
    world.deliver(world.workers[0])
    world.kill(world.workers[0])


def retry_wait(world: World) -> None:
    world.submit("job-1")
    world.deliver(world.workers[0])
    world.end(world.workers[0], world.workers[0].held.active()[0].run_id, "network")


AGED: dict[JobState, Callable[[World], None]] = {
    JobState.QUEUED: queued,
    JobState.RUNNING: running,
    JobState.RETRY_WAIT: retry_wait,
}


def purge_the_queue(world: World) -> None:
    """The message is lost, whatever it was: only the row knows."""
    world.queue.inner._messages.clear()


@pytest.mark.parametrize("state", sorted(ACTIVE_STATES))
def test_a_row_whose_message_is_lost_is_brought_back_by_the_waker_from(state: JobState) -> None:
    world = World(workers=2)
    AGED[state](world)
    row = world.memory.find("job-1")
    assert row is not None
    assert row.state is state
    purge_the_queue(world)
    world.clock.advance(max(0.0, (row.wake_at or 0) - world.clock.now()) + 1)
    assert world.waker.tick() == 1
    for _ in range(int(LEASE) + 6):
        if world.deliver(world.workers[1]) is not None:
            break
        world.clock.advance(1)
    woken = world.memory.find("job-1")
    assert woken is not None
    assert woken.state is JobState.RUNNING
    assert woken.lease_owner == world.workers[1].name


def test_the_table_in_the_docs_names_every_state_once() -> None:
    rows = re.findall(r"^\| ([A-Z_, ]+) \|", TABLE.read_text(), flags=re.MULTILINE)
    named = [name.strip() for row in rows for name in row.split(",")]
    assert sorted(named) == sorted(state.value for state in JobState)


def test_no_terminal_state_is_ever_woken() -> None:
    for state in JobState:
        if state.is_terminal:
            assert Job(id="x", type="t", tenant="a", payload={}, state=state).wake_at is None
