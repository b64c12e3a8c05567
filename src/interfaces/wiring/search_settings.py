"""The settings of the search index."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from src.interfaces.wiring.group import Group, Positive, matching

INDEX = "[A-Za-z0-9_-]{1,80}"


class SearchSettings(Group):
    """The search index of contents (docs/search.md)."""

    backend: Literal["embedded", "meilisearch"] = Field(
        default="embedded",
        description="Where the index is: a SQLite file in the data directory, for one machine, or a Meilisearch server.",
    )
    url: str | None = Field(default=None, description="`meilisearch`: address of the server.")
    api_key: SecretStr | None = Field(
        default=None, description="`meilisearch`: a key that may write to the index; docs/search.md lists its actions."
    )
    index: Annotated[str, matching(INDEX, "name of an index: 1 to 80 letters, digits, _ and -")] = Field(
        default="contents",
        json_schema_extra={"pattern": f"^{INDEX}$"},
        description="Name of the index (Meilisearch: its uid).",
    )
    timeout_seconds: Positive = Field(default=10.0, description="`meilisearch`: longest wait for one answer.")
    task_seconds: Positive = Field(
        default=120.0,
        description="`meilisearch`: longest wait for the server to do what it was asked for, its queue included.",
    )

    @model_validator(mode="after")
    def _whole(self) -> SearchSettings:
        if self.backend == "meilisearch" and not self.url:
            raise ValueError("search.backend=meilisearch needs search.url")
        if self.url is not None and not re.match(r"https?://[^/@]+(/|$)", self.url):
            raise ValueError("search.url is no http(s):// address without a login; the key has a setting of its own")
        return self
