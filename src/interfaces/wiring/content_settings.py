"""The settings of the content jobs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from src.interfaces.wiring.group import Group, Positive, matching

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")
Name = Annotated[
    str,
    matching(
        NAME.pattern,
        "name that a table or column has: letters, digits and _, not beginning with a digit, at most 63, and one schema with"
        " a dot before it if need be",
    ),
    Field(json_schema_extra={"pattern": f"^{NAME.pattern}$"}),
]


class ContentSettings(Group):
    """Thumbnails, metadata, the SSD tier, clean-up and daily figures (docs/content.md)."""

    media_root: Path | None = Field(
        default=None,
        description="Folder (a network drive, say) that absolute `file_path`s of jobs must lie in. Unset: only storage keys are taken.",
    )
    cache_dir: Path | None = Field(
        default=None,
        description="The cache: `thumbnails/` and `hot/` are in it. Default: `cache` in the data directory.",
    )
    cache_bytes: int = Field(
        default=500 * 10**9, gt=0, description="Budget of `hot/`: above 95 % of it the least recently used films go."
    )
    cache_days: Positive = Field(default=30.0, description="Films of `hot/` that nobody used for so long are old.")
    thumbnail_position: float = Field(
        default=0.1, ge=0, le=1, description="Where a content's thumbnail is taken, as a share of the duration."
    )
    thumbnail_width: int = Field(default=640, ge=16, le=4096, description="The thumbnail fits into this width.")
    thumbnail_height: int = Field(default=360, ge=16, le=4096, description="The thumbnail fits into this height.")
    backend: Literal["database", "http"] = Field(
        default="database", description="Where content records are: a table, or the platform's API."
    )
    table: Name = Field(default="media_contents", description="Table of the content records; `schema.table` too.")
    columns: str = Field(
        default="",
        description='JSON: columns that are called otherwise, as `{"resolution": "res"}`; `""` for one that the table does not have.',
    )
    url: str | None = Field(
        default=None,
        description="Root of the platform's API: `GET` and `PATCH contents/{id}`, `DELETE sessions/expired`.",
    )
    token: SecretStr | None = Field(default=None, description="Bearer token for that API.")
    timeout_seconds: Positive = Field(default=10.0, description="Longest wait for that API's answer.")
    database_url: SecretStr | None = Field(
        default=None, description="The platform's database, when its tables are not in `WORKER_DATABASE__URL`."
    )

    sessions_backend: Literal["database", "http"] = Field(
        default="database", description="Where sign-in sessions are: a table, or the platform's API."
    )
    sessions_table: Name = Field(default="media_sessions", description="Table of the sign-in sessions.")
    sessions_key: Name = Field(default="id", description="Key of that table.")
    sessions_expires: Name = Field(default="expires_at", description="Its column of the time when a session ends.")
    views_table: Name = Field(
        default="media_views", description="Table of the views that daily figures are counted from."
    )
    views_columns: str = Field(
        default="", description="JSON, as `columns`: of content_id, user_id, watched_seconds and viewed_at."
    )
    times: Literal["epoch", "timestamp"] = Field(
        default="epoch",
        description="What the times in the tables of sessions and views are: epoch seconds, or the database's own time stamps.",
    )
    time_zone: str = Field(default="Asia/Seoul", description="Whose days the daily figures are of.")
    log_dir: Path | None = Field(default=None, description="Folder of logs that `cleanup` looks after. Unset: none.")
    log_days: Positive = Field(default=30.0, description="How long its logs are kept after their last line.")
    temp_dir: Path | None = Field(
        default=None,
        description="Folder of temporary files that `cleanup` looks after, beside the cache's own. Unset: none.",
    )
    temp_hours: Positive = Field(default=24.0, description="How long temporary files live after their last write.")

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{value[:60]!r} is no time zone") from error
        return value

    @field_validator("columns", "views_columns")
    @classmethod
    def _names(cls, value: str) -> str:
        try:
            names = json.loads(value or "{}")
        except ValueError as error:
            raise ValueError("is no JSON object") from error
        if not isinstance(names, dict) or not all(isinstance(column, str) for column in names.values()):
            raise ValueError("is no JSON object of names")
        for name in [*names, *(column for column in names.values() if column)]:
            if not NAME.fullmatch(name):
                raise ValueError(f"{name[:60]!r} is no name of a column")
        return value

    @model_validator(mode="after")
    def _whole(self) -> ContentSettings:
        for setting, chosen in (("backend", self.backend), ("sessions_backend", self.sessions_backend)):
            if chosen == "http" and not self.url:
                raise ValueError(f"content.{setting}=http needs content.url")
        if self.url is not None and not re.match(r"https?://[^/@]+(/|$)", self.url):
            raise ValueError("content.url is no http(s):// address without a login; the token has a setting of its own")
        if self.media_root is not None and not self.media_root.is_absolute():
            raise ValueError("content.media_root is no absolute path")
        return self
