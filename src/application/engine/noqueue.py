"""Stands where a queue would, in a process that received its job another way: no message is held, so nothing is asked of it."""

from __future__ import annotations

from collections.abc import Sequence

from src.application.ports.queue import Delivery


class NoQueue:
    """QueueConsumer. Every call is a bug of the caller's."""

    def receive(self, limit: int, *, wait_seconds: float, visibility_seconds: float) -> Sequence[Delivery]:
        """There is nothing to receive from."""
        raise _bug()

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """There is no message."""
        raise _bug()

    def release(self, delivery: Delivery, *, delay_seconds: float) -> None:
        """There is no message."""
        raise _bug()

    def extend(self, deliveries: Sequence[Delivery], *, visibility_seconds: float) -> None:
        """There is no message."""
        raise _bug()

    def close(self) -> None:
        """Nothing is open."""


def _bug() -> AssertionError:
    return AssertionError("this process has no queue")
