"""Content records behind an API: `GET contents/{id}`, `PATCH contents/{id}`, and `GET contents?after=ID&limit=N` for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from src.application.ports.content import ContentMissing, ContentRefused, ContentUnavailable
from src.domain.errors import ConfigError
from src.infrastructure.http.api import Api

AWAY = "is the API running and reachable from here, and WORKER_CONTENT__URL right?"
LIST = "the API has to list its contents there (docs/search.md), under the address that the settings name"


@dataclass(frozen=True, slots=True)
class HttpContents:
    """Contents."""

    api: Api

    def check(self) -> Sequence[str]:
        """The first request of a full re-index, for one record. Raises ConfigError, ContentUnavailable."""
        try:
            self.page(None, 1)
        except ContentUnavailable as error:
            raise ContentUnavailable(error.message, fix=AWAY) from error
        except (ContentRefused, ContentMissing) as error:
            fix = f"{error.fix or LIST}: WORKER_CONTENT__URL, WORKER_CONTENT__TOKEN"
            raise ConfigError(error.message, fix=fix) from error
        return [f"records at {self.api.url}"]

    def get(self, content_id: str) -> Mapping[str, Any]:
        """The API's record, with its own id where it says one."""
        record = self.api.ask("GET", _place(content_id))
        return {**record, "id": str(record.get("id", content_id))}

    def get_file_path(self, content_id: str) -> str:
        """The record's `file_path`."""
        path = self.get(content_id).get("file_path")
        if not isinstance(path, str) or not path:
            raise ContentMissing(f"content {content_id} has no file_path", fix="the API's record has to name it")
        return path

    def update_metadata(self, content_id: str, metadata: Mapping[str, Any], *, file_path: str | None = None) -> None:
        """A PATCH with these fields alone: the API has its own path."""
        self.api.ask("PATCH", _place(content_id), metadata)

    def page(self, after: str | None, limit: int) -> Sequence[Mapping[str, Any]]:
        """The `contents` of the answer. An API that knows no `after` would give its first page for ever: refused."""
        asked = {"limit": limit} if after is None else {"after": after, "limit": limit}
        records = self.api.ask("GET", f"contents?{urlencode(asked)}").get("contents")
        if not isinstance(records, list) or not all(isinstance(each, dict) and "id" in each for each in records):
            raise ContentRefused(
                "GET contents: the answer has no list `contents` of records with ids", fix="see docs/search.md"
            )
        found = [{**each, "id": str(each["id"])} for each in records[:limit]]
        if after in {each["id"] for each in found}:
            raise ContentRefused(
                f"GET contents: what comes after {after} has it again", fix="the API must go by `after`"
            )
        return found


def _place(content_id: str) -> str:
    return f"contents/{quote(content_id, safe='')}"
