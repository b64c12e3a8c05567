"""The platform's API from the settings."""

from __future__ import annotations

from src.infrastructure.http.api import Api
from src.infrastructure.http.contents import HttpContents
from src.infrastructure.http.sessions import HttpSessions
from src.interfaces.wiring.settings import Settings


def api(settings: Settings) -> Api:
    """Address, token and patience."""
    content = settings.content
    token = content.token.get_secret_value() if content.token else None
    return Api(url=content.url or "", token=token, timeout_seconds=content.timeout_seconds)


def http_contents(settings: Settings) -> HttpContents:
    """Records behind the API."""
    return HttpContents(api(settings))


def http_sessions(settings: Settings) -> HttpSessions:
    """Sessions behind the API."""
    return HttpSessions(api(settings))
