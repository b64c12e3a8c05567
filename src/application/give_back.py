"""Gives many messages back: in one go where the queue can, else one by one."""

from __future__ import annotations

from collections.abc import Sequence

from src.application.ports.queue import Delivery, QueueConsumer, ReleasesMany


def release_all(queue: QueueConsumer, deliveries: Sequence[Delivery], *, delay_seconds: float) -> None:
    """Raises QueueUnavailable; those that did not get through come back by themselves, and the next ones are not tried: they would
    wait as long, and in vain."""
    if isinstance(queue, ReleasesMany):
        queue.release_all(deliveries, delay_seconds=delay_seconds)
        return
    for delivery in deliveries:
        queue.release(delivery, delay_seconds=delay_seconds)
