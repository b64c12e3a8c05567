"""Who is told of dead letters and grave events."""

from __future__ import annotations

from src.application.ports.clock import Clock
from src.application.ports.notify import AdminNotifier
from src.interfaces.wiring.adapters import imported
from src.interfaces.wiring.settings import Settings

REDACTED = "src.infrastructure.observability.redaction:redacted"


def make_notifier(settings: Settings, clock: Clock) -> AdminNotifier:
    """The log, and what the settings add. Raises ConfigError for what can't work; connects to nothing yet."""
    from src.infrastructure.notify.log import LogNotifier
    from src.infrastructure.notify.several import SeveralNotifiers

    ways: list[tuple[str, AdminNotifier]] = [("log", LogNotifier())]
    if settings.queue.dead_letter_list:
        listed = imported("src.infrastructure.redis.dead_letter_list:RedisDeadLetterList")
        ways.append(("redis", listed(settings.redis_url, settings.queue.dead_letter_list)))
    if settings.notify.webhook_url and settings.notify.webhook_secret:
        secret = settings.notify.webhook_secret.get_secret_value()
        post = imported("src.infrastructure.events.signed_post:SignedPost")
        webhook = imported("src.infrastructure.events.notifier:WebhookNotifier")
        signed = post(settings.notify.webhook_url.get_secret_value(), secret, clock, "notify")
        ways.append(("webhook", webhook(signed, imported(REDACTED))))
    if settings.notify.sns_topic:
        sns = imported("src.infrastructure.aws.topic:SnsNotifier")
        ways.append(("sns", sns(settings.notify.sns_topic, settings.aws.endpoint_url, imported(REDACTED))))
    return SeveralNotifiers(ways, clock)
