"""Settings of the events that other systems are told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from src.application.events.routes import ROUTES
from src.interfaces.wiring.group import Group, comma_separated

Road = Literal["pubsub", "stream"]
Sink = Literal["redis", "stream", "webhook", "log"]


class EventsSettings(Group):
    """What other systems are told of jobs that end."""

    sinks: Annotated[tuple[Sink, ...], NoDecode] = Field(
        default=(),
        description="Ways of telling, comma separated: `redis` (Pub/Sub, a channel for each type), `stream` (Redis Streams), `webhook`, "
        "`log`. None: nothing is written or sent.",
    )
    format: Literal["plain", "envelope", "cloudevents"] = Field(
        default="plain",
        description="`plain` (the data with `event_id`), `envelope` (the content platform's bus), or `cloudevents`.",
    )
    source: str = Field(
        default="mediaworker", min_length=1, max_length=80, description="Who says it, in the formats that name it."
    )
    channel_prefix: str = Field(default="", max_length=80, description="Before the names of the Pub/Sub channels.")
    stream: str = Field(default="worker.events", min_length=1, max_length=200, description="Name of the stream.")
    stream_length: int = Field(default=100_000, ge=1, description="About how many entries the stream keeps.")
    webhook_url: str | None = Field(default=None, description="Where events are posted.")
    webhook_secret: SecretStr | None = Field(
        default=None, description="Signs them (Standard Webhooks): `whsec_` and the base64 of 24 to 64 random bytes."
    )

    listen: Annotated[tuple[Road, ...], NoDecode] = Field(
        default=("pubsub", "stream"),
        description="Roads on which `mediaworker run events` hears of other systems, comma separated: `pubsub`, `stream`.",
    )
    channels: Annotated[tuple[str, ...], NoDecode] = Field(
        default=tuple(ROUTES),
        description="Pub/Sub channels, named after the type of their events; a prefix before a colon is allowed.",
    )
    inbox: str = Field(default="content.events", min_length=1, max_length=200, description="The stream that is read.")
    group: str = Field(
        default="mediaworker",
        min_length=1,
        max_length=80,
        description="Consumer group on that stream; listeners share it.",
    )

    @field_validator("sinks", "listen", "channels", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return comma_separated(value)
