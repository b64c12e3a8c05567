"""A signal that the process is to end, and how long it may still try to write things down."""

from __future__ import annotations

from dataclasses import dataclass

from src.application.engine.settler import GiveBack
from src.application.ports.clock import Clock
from src.application.ports.ledger import Move
from src.domain.errors import ErrorReport, Terminated


@dataclass(slots=True)
class StopSwitch:
    """`request` is safe in a signal handler: it only sets fields (a lock might be held by the thread it interrupts)."""

    clock: Clock
    seconds: float
    """from the signal to the moment at which a database that is away is waited for no longer"""
    name: str = ""
    """of the first signal; empty before it"""
    _at: float = 0.0

    def request(self, name: str) -> None:
        """The process is to end."""
        if not self.name:
            self._at = self.clock.monotonic()
            self.name = name

    @property
    def requested(self) -> bool:
        """Whether it is."""
        return bool(self.name)

    def must_go(self) -> bool:
        """Whether there is no time left."""
        return self.requested and self.clock.monotonic() - self._at >= self.seconds

    def report(self) -> ErrorReport:
        """What the row says of it (contracts.md 1.7: reason TERMINATED)."""
        return ErrorReport.of(Terminated(f"TERMINATED: the container was told to end ({self.name})"))


def to_the_owner_of_retries(stop: StopSwitch) -> GiveBack:
    """What a container gives back waits for its next one, with the signal as the reason when there was one."""

    def give_back(fence: int, delay_seconds: float, why: ErrorReport | None) -> Move:
        error = stop.report() if why is None and stop.requested else why
        return lambda job, now: job.wait_untried(now, fence=fence, delay_seconds=delay_seconds, error=error)

    return give_back
