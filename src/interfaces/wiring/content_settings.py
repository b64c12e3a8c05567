"""The settings of the content jobs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from src.interfaces.wiring.group import Group, Positive

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")
Name = Annotated[str, Field(pattern=rf"^{NAME.pattern}$")]


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

    @field_validator("columns")
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
        if self.backend == "http" and not self.url:
            raise ValueError("content.backend=http needs content.url")
        if self.url is not None and not re.match(r"https?://[^/@]+(/|$)", self.url):
            raise ValueError("content.url is no http(s):// address without a login; the token has a setting of its own")
        if self.media_root is not None and not self.media_root.is_absolute():
            raise ValueError("content.media_root is no absolute path")
        return self
