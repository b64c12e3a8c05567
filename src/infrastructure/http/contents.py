"""Content records behind an API: `GET contents/{id}` and `PATCH contents/{id}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from src.application.ports.content import ContentMissing
from src.infrastructure.http.api import Api


@dataclass(frozen=True, slots=True)
class HttpContents:
    """Contents."""

    api: Api

    def get(self, content_id: str) -> Mapping[str, Any]:
        """The API's record."""
        return {**self.api.ask("GET", _place(content_id)), "id": content_id}

    def get_file_path(self, content_id: str) -> str:
        """The record's `file_path`."""
        path = self.get(content_id).get("file_path")
        if not isinstance(path, str) or not path:
            raise ContentMissing(f"content {content_id} has no file_path", fix="the API's record has to name it")
        return path

    def update_metadata(self, content_id: str, metadata: Mapping[str, Any]) -> None:
        """A PATCH with these fields alone."""
        self.api.ask("PATCH", _place(content_id), metadata)


def _place(content_id: str) -> str:
    return f"contents/{quote(content_id, safe='')}"
