"""Events from other systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One event as it came. Who sent it is not known: it is a hint."""

    source: str
    """which road it came by, and where on it: with `id` it names the event"""
    id: str | None
    """the same whenever and to whomever this event comes; None where the road gives it none"""
    type: str | None
    """as in `content.created`; None: the body says it"""
    body: bytes
    receipt: str = ""
    """of the source that it came from"""


class EventSource(Protocol):
    """One road. Raises NetworkError when it can't be reached."""

    @property
    def remembers(self) -> bool:
        """Whether what is not received, or not `done`, comes later."""

    def receive(self, *, wait_seconds: float) -> Sequence[Heard]:
        """What came; waits at most so long for the first. What is not `done` comes again, on roads that can."""

    def done(self, heard: Sequence[Heard]) -> None:
        """These became jobs, or dead letters."""

    def check(self) -> None:
        """Returns when the road can be reached. From any thread."""

    def close(self) -> None:
        """Let connections go."""
