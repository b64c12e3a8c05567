"""Events by Redis: Pub/Sub for those who listen now (seed 000's channels), a stream for those who may have been away."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.application.events.body import BodyFormat, body
from src.application.ports.outbox import JobEvent
from src.domain.errors import NetworkError
from src.infrastructure.redis.address import RedisLink


@dataclass
class RedisChannelSink:
    """EventSink that publishes to a channel named after the event's type. Nobody listening is no error: that is Pub/Sub."""

    url: str | None = field(repr=False)
    form: BodyFormat
    source: str
    prefix: str = ""
    link: RedisLink = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.link = RedisLink(self.url, NetworkError)

    def send(self, event: JobEvent) -> None:
        """Raises NetworkError."""
        said = body(event, self.form, self.source)
        self.link.ask(lambda client: client.publish(self.prefix + event.type, said))

    def close(self) -> None:
        """Let connections go."""
        self.link.close()


@dataclass
class RedisStreamSink:
    """EventSink that adds to the stream `name` the fields `id`, `type` and `body`. The stream is cut to about `length` entries:
    whoever is away for longer loses the oldest."""

    url: str | None = field(repr=False)
    name: str
    length: int
    form: BodyFormat
    source: str
    link: RedisLink = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.link = RedisLink(self.url, NetworkError)

    def send(self, event: JobEvent) -> None:
        """Raises NetworkError."""
        entry = {"id": event.id, "type": event.type, "body": body(event, self.form, self.source)}
        self.link.ask(lambda client: client.xadd(self.name, entry, maxlen=self.length, approximate=True))  # type: ignore[arg-type]

    def close(self) -> None:
        """Let connections go."""
        self.link.close()
