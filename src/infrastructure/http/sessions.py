"""Sign-in sessions behind an API: `DELETE sessions/expired`, answered with `{"deleted": n}`."""

from __future__ import annotations

from dataclasses import dataclass

from src.application.ports.content import ContentRefused
from src.infrastructure.http.api import Api


@dataclass(frozen=True, slots=True)
class HttpSessions:
    """Sessions."""

    api: Api

    def cleanup_expired_sessions(self) -> int:
        """The API's own count."""
        deleted = self.api.ask("DELETE", "sessions/expired").get("deleted")
        if type(deleted) is not int or deleted < 0:
            raise ContentRefused(
                'DELETE sessions/expired: the answer has no number "deleted"', fix="the API has to say how many went"
            )
        return deleted
