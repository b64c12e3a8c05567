"""Who is told of the ends of jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from src.application.events.body import BodyFormat
from src.application.events.relay import Relay
from src.application.ports.outbox import EventSink
from src.interfaces.wiring.adapters import Adapters
from src.interfaces.wiring.settings import Settings


def make_relay(settings: Settings, adapters: Adapters, owner: str) -> Relay | None:
    """None when nobody is told. Raises ConfigError for a sink that can't be made."""
    if not settings.events.sinks:
        return None
    sinks: dict[str, EventSink] = {name: SINKS[name](settings, adapters) for name in settings.events.sinks}
    return Relay(adapters.outbox(), sinks, owner, adapters.clock())


def _channel(settings: Settings, _adapters: Adapters) -> EventSink:
    from src.infrastructure.redis.event_sinks import RedisChannelSink

    return RedisChannelSink(
        settings.redis_url, BodyFormat(settings.events.format), settings.events.source, settings.events.channel_prefix
    )


def _stream(settings: Settings, _adapters: Adapters) -> EventSink:
    from src.infrastructure.redis.event_sinks import RedisStreamSink

    return RedisStreamSink(
        settings.redis_url,
        settings.events.stream,
        settings.events.stream_length,
        BodyFormat(settings.events.format),
        settings.events.source,
    )


def _webhook(settings: Settings, adapters: Adapters) -> EventSink:
    from src.infrastructure.events.webhook import WebhookSink

    secret = settings.events.webhook_secret.get_secret_value() if settings.events.webhook_secret else ""
    form = BodyFormat(settings.events.format)
    return WebhookSink(settings.events.webhook_url or "", secret, form, settings.events.source, adapters.clock())


def _log(_settings: Settings, _adapters: Adapters) -> EventSink:
    from src.infrastructure.events.log import LogSink

    return LogSink()


SINKS: Mapping[str, Callable[[Settings, Adapters], EventSink]] = {
    "redis": _channel,
    "stream": _stream,
    "webhook": _webhook,
    "log": _log,
}
"""{name in the settings: what makes it}"""
