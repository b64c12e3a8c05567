"""Settings of the queue."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from src.interfaces.wiring.group import Group, comma_separated


class QueueSettings(Group):
    """Where messages come from."""

    backend: Literal["sqlite", "memory", "sqs", "redis", "postgres", "graphile", "kafka"] = Field(
        default="sqlite",
        description="Which queue. `sqlite` is embedded; `memory` lives and dies with its process (tests).",
    )
    url: str | None = Field(
        default=None,
        description="Address of the queue, where the backend has one (SQS: the queue's URL, without it the queue is looked up by "
        "name; `sqlite` and `postgres`: a database, by default the ledger's).",
    )
    name: str = Field(default="video", min_length=1, max_length=80, description="Name of the queue.")
    lanes: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        max_length=16,
        description="`redis`: the lists that are this queue, comma separated, best first, instead of the one called `name`. A job "
        "type of normal priority goes to the middle one. The content platform's: `worker:high,worker:normal,worker:low`.",
    )
    dead_letter_list: str = Field(
        default="",
        max_length=200,
        description="A list in Redis to which dead letters are pushed as well, for tools that read it: `worker:dead_letter`.",
    )
    wait_seconds: float = Field(
        default=20.0, gt=0, le=20, description="Longest wait of one receive, where it can be called off."
    )
    poll_seconds: float = Field(
        default=0.05, gt=0, le=60, description="Pause between looks, where the backend can't wake us."
    )
    listen: bool = Field(
        default=True,
        description="`postgres`: be woken by NOTIFY (one more connection per worker); else it polls.",
    )
    # An order to a job's process has 16 MiB at most (process/wire.py), and JSON of our own may be 4.5 times as long: 1E9 is
    # 1000000000.0 there.
    max_body_bytes: int = Field(
        default=262_144, ge=1024, le=3 * 2**20, description="A larger message is dead-lettered undecoded."
    )
    max_depth: int = Field(default=32, ge=2, le=500, description="Deepest nesting of a message body.")

    @field_validator("lanes", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return comma_separated(value)
