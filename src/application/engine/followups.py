"""What follows the end of a job, aside from everything that other jobs wait for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from src.domain.job import Job


@dataclass(slots=True)
class Followups:
    """Ends are noted where they are settled, and followed up by `tick`, in a loop of its own: a storage or an AWS that does not
    answer must hold up no other job's outcome. What a worker has noted and not done when it goes is lost, so `follow` must be
    something that somebody makes up for. Thread-safe."""

    follow: Callable[[Job], object]
    """is called once per job that has ended. What it raises is logged by the loop, and the others are still followed up"""
    _noted: deque[Job] = field(default_factory=deque)
    _busy: bool = False

    def ended(self, job: Job) -> None:
        """Note; returns at once."""
        self._noted.append(job)

    def tick(self) -> None:
        """Follow up what was noted."""
        self._busy = True
        try:
            while self._noted:
                self.follow(self._noted.popleft())
        finally:
            self._busy = False

    @property
    def pending(self) -> bool:
        """Whether anything is still to be done."""
        # In this order: what is noted no more was taken by somebody who is busy.
        return bool(self._noted) or self._busy
