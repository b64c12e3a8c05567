"""The settings of cron."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from src.domain.cron import FILL_SECONDS, GRACE_SECONDS, Policy
from src.domain.errors import ConfigError
from src.interfaces.wiring.group import Group, Positive

OFF = "off"


def _built_in(schedule: str, what: str) -> str:
    field: str = Field(default=schedule, min_length=1, description=f"When {what}; `{OFF}`: never.")
    return field


class CronSettings(Group):
    """Jobs by the clock (docs/cron.md)."""

    zone: str = Field(
        default="Asia/Seoul",
        description="Time zone of the built-in entries below. Each is five fields, which `?tz=Europe/Berlin&missed=all&fill=2d` may follow.",
    )
    cache_cleanup: str = _built_in("0 3 * * *", "old entries leave the cache")
    session_cleanup: str = _built_in("0 * * * *", "sessions that have expired are removed")
    full_reindex: str = _built_in("0 4 * * *", "everything is indexed anew")
    daily_statistics: str = _built_in("0 0 * * *", "the statistics of the day before are made")
    file: Path | None = Field(
        default=None, description="Crontab with more entries, in the syntax of Graphile Worker's; its times are UTC."
    )
    missed: Literal["skip", "latest", "all"] = Field(
        default="latest",
        description="Moments that passed while no scheduler ran: none of them fires, the last one does, or each, oldest first.",
    )
    grace_seconds: Positive = Field(default=GRACE_SECONDS, description="What is later than this was missed.")
    fill_seconds: Positive = Field(default=FILL_SECONDS, description="How far back `all` goes (7 days).")

    @field_validator("zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        # Imported when somebody sets it: a video worker reads no schedule.
        from src.application.cron.schedule import zone_of

        try:
            zone_of(value)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("cache_cleanup", "session_cleanup", "full_reindex", "daily_statistics")
    @classmethod
    def _schedule(cls, value: str) -> str:
        from src.application.cron.crontab import with_options

        try:
            if value.strip() != OFF:
                with_options(value, "UTC", Policy())
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return value
