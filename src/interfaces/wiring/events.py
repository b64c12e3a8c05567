"""Who is told of the ends of jobs, and whose events are heard."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence

from src.application.catalog import Catalog
from src.application.decoders.registry import Decoders
from src.application.events.body import BodyFormat
from src.application.events.hear import Hearing
from src.application.events.listen import Listener
from src.application.events.relay import LEAD_SECONDS, Relay
from src.application.events.routes import ROUTES
from src.application.metrics import EVENTS_HEARD
from src.application.ports.meter import UNMETERED, Meter
from src.application.ports.outbox import EventSink, Outbox
from src.domain.errors import ConfigError
from src.interfaces.wiring.adapters import Adapters
from src.interfaces.wiring.decoding import decoder_settings
from src.interfaces.wiring.environment import variable
from src.interfaces.wiring.settings import Settings

log = logging.getLogger(__name__)

PUBSUB_LEAD = "heard:pubsub"
"""Under which one of several listeners acts on events that everybody hears and that have no id."""


LONGEST_OWNER = 64


def make_relay(settings: Settings, adapters: Adapters, owner: str) -> Relay | None:
    """None when nobody is told. Raises ConfigError for a sink that can't be made."""
    if not settings.events.sinks:
        return None
    sinks: dict[str, EventSink] = {name: SINKS[name](settings, adapters) for name in settings.events.sinks}
    return Relay(adapters.outbox(), sinks, leading(owner), adapters.clock())


def check_sinks(settings: Settings, adapters: Adapters) -> str:
    """Whoever is to be told can be, as far as that shows without telling them something. Raises ConfigError."""
    make_relay(settings, adapters, "check")
    return f"told: {', '.join(settings.events.sinks)}" if settings.events.sinks else "not used"


def check_listeners(settings: Settings, adapters: Adapters, catalog: Catalog) -> str:
    """As the start of `run events`. Raises ConfigError, NetworkError."""
    listeners = make_listeners(settings, adapters, catalog, "check")
    for listener in listeners.values():
        listener.source.check()
    return f"heard by {', '.join(sorted(listeners))}"


def leading(owner: str) -> str:
    """The name under which this one leads. Of its own whatever the settings call the process: two with one name, by a mistake or
    as process 1 of two containers, would both lead."""
    return f"{owner[:LONGEST_OWNER]}#{uuid.uuid4().hex[:12]}"


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


def make_listeners(
    settings: Settings,
    adapters: Adapters,
    catalog: Catalog,
    owner: str,
    meter: Meter = UNMETERED,
    goes_on: Callable[[str], object] = str,
    between: Callable[[], object] = lambda: None,
) -> Mapping[str, Listener]:
    """{road: its listener}. `goes_on` is told the road at each event that was heard, `between` is told
    between two questions of one event to backends. Raises ConfigError when there is no road, or no job type for any event."""
    routes = {
        event: wanted for event, wanted in ROUTES.items() if {each.type for each in wanted} <= set(catalog.names())
    }
    if not routes or not settings.events.listen:
        raise ConfigError(
            "there are no events to hear: no road, or no job type that they ask for",
            fix=f"set {variable('events.listen')}; the content jobs need {variable('ledger.backend')}=database or redis",
        )
    if settings.redis_url is None:
        raise ConfigError("events are heard by Redis, and redis.url is not set", fix=f"set {variable('redis.url')}")
    outbox: Outbox = adapters.outbox()
    hearing = Hearing(
        adapters.ledger(),
        adapters.dispatch(),
        adapters.dead_letters(),
        Decoders(catalog, decoder_settings(settings)),
        adapters.clock(),
        routes,
        between,
    )
    leader, listeners = leading(owner), dict[str, Listener]()

    def heard(road: str) -> None:
        meter.add(EVENTS_HEARD, road)
        goes_on(road)

    if "pubsub" in settings.events.listen:
        from src.infrastructure.redis.event_sources import RedisChannels

        _tell_of_strange(settings.events.channels)
        channels = RedisChannels(settings.redis_url, settings.events.channels)
        listeners["pubsub"] = Listener(
            channels,
            hearing,
            lambda: outbox.lead(PUBSUB_LEAD, leader, seconds=LEAD_SECONDS),
            lambda: heard("pubsub"),
        )
    if "stream" in settings.events.listen:
        from src.infrastructure.redis.event_sources import RedisStream

        stream = RedisStream(settings.redis_url, settings.events.inbox, settings.events.group, owner)
        listeners["stream"] = Listener(stream, hearing, count=lambda: heard("stream"))
    return listeners


def _tell_of_strange(channels: Sequence[str]) -> None:
    """A typing error, most of the time. Not refused: events that name their type themselves may come by a channel of any name."""
    for channel in channels:
        if channel.rpartition(":")[2] not in ROUTES:
            log.warning(
                "events.channel_of_no_type",
                extra={
                    "channel": channel,
                    "then": "only what names its type itself (event_type, or CloudEvents) is heard there",
                    "types": ", ".join(ROUTES),
                    "fix": f"see {variable('events.channels')}",
                },
            )
