"""What follows an end is done aside, and one that goes wrong keeps no other from being done."""

from __future__ import annotations

import threading
import time

import pytest

from src.application.engine.followups import Followups
from src.domain.job import Job


def a_job(name: str) -> Job:
    return Job(id=name, type="video", tenant="t1", payload={})


def test_ends_are_followed_up_in_their_order_and_once() -> None:
    done: list[str] = []
    followups = Followups(lambda job: done.append(job.id))
    for name in ("a", "b"):
        followups.ended(a_job(name))
    assert (followups.pending, done) == (True, [])
    followups.tick()
    followups.tick()
    assert (followups.pending, done) == (False, ["a", "b"])


def test_it_is_pending_while_the_last_one_is_being_done() -> None:
    seen: list[bool] = []
    followups = Followups(lambda _job: seen.append(followups.pending))
    followups.ended(a_job("a"))
    followups.tick()
    assert (seen, followups.pending) == ([True], False)


def test_the_others_are_still_followed_up_after_one_that_raised() -> None:
    done: list[str] = []

    def follow(job: Job) -> None:
        if job.id == "a":
            raise RuntimeError("a bug")
        done.append(job.id)

    followups = Followups(follow)
    for name in ("a", "b"):
        followups.ended(a_job(name))
    with pytest.raises(RuntimeError):
        followups.tick()
    assert followups.pending
    followups.tick()
    assert (done, followups.pending) == (["b"], False)


def test_one_that_is_taken_up_while_somebody_asks_is_pending() -> None:
    """A drain's question, which the loop of the followups interrupts between its two looks."""
    goes_on = threading.Event()

    class Interrupted(Followups):
        def __getattribute__(self, name: str) -> object:
            found = super().__getattribute__(name)
            if name == "_busy" and running.ident is None:
                running.start()
                while super().__getattribute__("_noted"):
                    time.sleep(0.001)
            return found

    followups = Interrupted(lambda _job: goes_on.wait(10))
    running = threading.Thread(target=followups.tick, daemon=True)
    followups.ended(a_job("a"))
    assert followups.pending
    goes_on.set()
