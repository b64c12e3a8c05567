"""Who is told of dead letters and grave events."""

from __future__ import annotations

from src.application.ports.notify import AdminNotifier
from src.interfaces.wiring.settings import Settings


def make_notifier(settings: Settings) -> AdminNotifier:
    """The log, and what the settings add; those that know what they were told come first."""
    from src.infrastructure.notify.log import LogNotifier
    from src.infrastructure.notify.several import SeveralNotifiers

    notifiers: list[AdminNotifier] = []
    if settings.queue.dead_letter_list:
        from src.infrastructure.redis.dead_letter_list import RedisDeadLetterList

        notifiers.append(RedisDeadLetterList(settings.redis_url, settings.queue.dead_letter_list))
    notifiers.append(LogNotifier())
    return SeveralNotifiers(notifiers) if len(notifiers) > 1 else notifiers[0]
