"""Is the state machine any good? Each seeded bug of reliability.md section 4 that lives in the engine must be caught.

The bugs of the pipeline (adopt without verify, trust exit code 0, publish the master first) have their own tests beside
the code they would break; "no unique on cron" comes with the scheduler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from src.application.engine.held import Held
from src.application.engine.keeper import Keeper
from src.application.engine.settler import Settler
from src.application.engine.waker import Waker, reference
from src.application.failpoints import failpoint
from src.domain.errors import LeaseLost, WorkerError
from src.domain.job import Busy, ClaimAnswer, Claimed, Job, JobState
from src.infrastructure.memory.ledger import MemoryLedger
from src.infrastructure.memory.lock import MemoryIdempotency
from tests.unit.application.test_engine_state_machine import SETTINGS, EngineMachine

Patch = Callable[[pytest.MonkeyPatch], None]


def no_fence_in_complete(patch: pytest.MonkeyPatch) -> None:
    def holds(self: Job, _fence: int) -> None:
        if self.state is not JobState.RUNNING:
            raise LeaseLost("not running")

    patch.setattr(Job, "_holds", holds)


def renew_without_fence(patch: pytest.MonkeyPatch) -> None:
    original = MemoryLedger.watch

    def watch(self: MemoryLedger, holds: dict[str, int]) -> Any:
        current = {name: row.fence if (row := self.find(name)) else fence for name, fence in holds.items()}
        return original(self, current)

    patch.setattr(MemoryLedger, "watch", watch)


def ack_before_commit(patch: pytest.MonkeyPatch) -> None:
    original = Settler._write

    def write(self: Settler, taken: Held, move: Any) -> Any:
        if taken.delivery is not None:
            self.queue.ack([taken.delivery])
        return original(self, taken, move)

    patch.setattr(Settler, "_write", write)


def blind_delete_of_the_lock(patch: pytest.MonkeyPatch) -> None:
    def release(self: MemoryIdempotency, key: str, _token: str) -> bool:
        return self._held.pop(key, None) is not None

    patch.setattr(MemoryIdempotency, "release", release)


def rescue_by_age(patch: pytest.MonkeyPatch) -> None:
    original = Job.claim

    def claim(self: Job, now: float, *, owner: str, lease_seconds: float) -> tuple[Job, ClaimAnswer]:
        old = self.state is JobState.RUNNING and now - (self.started_at or now) > 2 * lease_seconds
        judged = replace(self, lease_until=now - 1) if old else self
        return original(judged, now, owner=owner, lease_seconds=lease_seconds)

    patch.setattr(Job, "claim", claim)


def attempts_counted_at_the_end(patch: pytest.MonkeyPatch) -> None:
    original = Job.claim

    def claim(self: Job, now: float, *, owner: str, lease_seconds: float) -> tuple[Job, ClaimAnswer]:
        after, answer = original(self, now, owner=owner, lease_seconds=lease_seconds)
        if isinstance(answer, Claimed):
            after = replace(after, attempts=self.attempts)
            answer = Claimed(after)
        return after, answer

    patch.setattr(Job, "claim", claim)


def mark_sent_before_publish(patch: pytest.MonkeyPatch) -> None:
    def tick(self: Waker) -> int:
        ours = self._take(self.ledger.to_wake(self.batch, self.types))
        self.ledger.change_many([seen.id for seen in ours], lambda job, now: job.published(now))
        failpoint("wake.published")
        self.publisher.publish([reference(seen) for seen in ours])
        return 0

    patch.setattr(Waker, "tick", tick)


def heartbeat_without_progress(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Keeper, "_stop_stalled", lambda _self, _runs: None)


def refused_lock_deletes_the_message(patch: pytest.MonkeyPatch) -> None:
    """Lesson 1, as it happened."""
    from src.application.engine.intake import Intake

    patch.setattr(Intake, "_look", lambda self, delivery, _job_id: self.queue.ack([delivery]))


def busy_deletes_the_message(patch: pytest.MonkeyPatch) -> None:
    """Fast acknowledgement of what somebody else runs (lesson 2)."""
    from src.application.engine.intake import Intake

    original = Intake._refused

    def refused(self: Intake, delivery: Any, job_id: str, answer: ClaimAnswer) -> None:
        if isinstance(answer, Busy):
            self.queue.ack([delivery])
            return
        original(self, delivery, job_id, answer)

    patch.setattr(Intake, "_refused", refused)


def terminal_states_can_be_overwritten(patch: pytest.MonkeyPatch) -> None:
    """Lesson 15: a signal handler wrote RETRY_WAIT over SUCCEEDED."""

    def holds(self: Job, fence: int) -> None:
        if self.fence != fence:
            raise LeaseLost("fence")

    patch.setattr(Job, "_holds", holds)


def many_successes_without_a_fence(patch: pytest.MonkeyPatch) -> None:
    original = MemoryLedger.succeed

    def succeed(self: MemoryLedger, results: dict[str, Any]) -> Any:
        rows = {name: self.find(name) for name in results}
        now = {name: (row.fence, results[name][1]) for name, row in rows.items() if row is not None}
        return original(self, now)

    patch.setattr(MemoryLedger, "succeed", succeed)


def many_given_back_without_a_fence(patch: pytest.MonkeyPatch) -> None:
    original = MemoryLedger.hand_back

    def hand_back(self: MemoryLedger, holds: dict[str, int]) -> Any:
        rows = {name: self.find(name) for name in holds}
        return original(self, {name: row.fence for name, row in rows.items() if row is not None})

    patch.setattr(MemoryLedger, "hand_back", hand_back)


def refused_successes_are_acknowledged_too(patch: pytest.MonkeyPatch) -> None:
    def finish(self: Settler, many: Any) -> None:
        self.queue.ack([taken.delivery for taken in many])

    original = Settler.settle_short

    def settle(self: Settler, events: Any) -> Any:
        many = [held for event in events if (held := self.held.get(event.run_id))]
        settled = original(self, events)
        finish(self, many)
        return settled

    patch.setattr(Settler, "settle_short", settle)


def known_jobs_begin_anew(patch: pytest.MonkeyPatch) -> None:
    original = MemoryLedger.begin

    def begin(self: MemoryLedger, drafts: Any, *, owner: str, lease_seconds: float) -> Any:
        for draft in drafts:
            self._jobs.pop(draft.id, None)
        return original(self, drafts, owner=owner, lease_seconds=lease_seconds)

    patch.setattr(MemoryLedger, "begin", begin)


MUTANTS = [
    no_fence_in_complete,
    renew_without_fence,
    ack_before_commit,
    blind_delete_of_the_lock,
    rescue_by_age,
    attempts_counted_at_the_end,
    mark_sent_before_publish,
    heartbeat_without_progress,
    refused_lock_deletes_the_message,
    busy_deletes_the_message,
    terminal_states_can_be_overwritten,
    many_successes_without_a_fence,
    many_given_back_without_a_fence,
    refused_successes_are_acknowledged_too,
    known_jobs_begin_anew,
]

HUNT = settings(SETTINGS, max_examples=2000, phases=tuple(phase for phase in SETTINGS.phases if phase.name != "shrink"))


RARE = (
    blind_delete_of_the_lock,
    heartbeat_without_progress,
    many_successes_without_a_fence,
    no_fence_in_complete,
    refused_successes_are_acknowledged_too,
)
"""Found late, after ten seconds and more of search: hunted with the storms."""


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(mutant, marks=pytest.mark.chaos) if mutant in RARE else mutant for mutant in MUTANTS],
    ids=lambda mutant: mutant.__name__,
)
def test_the_state_machine_catches(mutant: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    with pytest.raises((AssertionError, WorkerError)):
        run_state_machine_as_test(EngineMachine, settings=HUNT)
