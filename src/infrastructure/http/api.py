"""One JSON request to the platform's API, and what its answers mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from src.application.ports.content import ContentGone, ContentMissing, ContentRefused, ContentUnavailable

MOST_BYTES = 4 * 1024 * 1024
"""Of one answer: a record, not a list."""

PASSING = frozenset({408, 425, 429})
"""Refusals that say "later"."""

NOT_FOUND, GONE = 404, 410


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """`url` is the API's root; `token` goes as a bearer token and never into a message. Raises ContentMissing (404), ContentGone (410),
    ContentRefused (any other 4xx, and answers that are no JSON object), ContentUnavailable (5xx, 408, 425, 429, no answer
    within `timeout_seconds`)."""

    url: str
    token: str | None = field(default=None, repr=False)
    timeout_seconds: float = 10.0

    def ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """The answer's object; {} for an empty one. Redirects are not followed: a token is for this address alone."""
        headers = {"accept": "application/json"} | ({"authorization": f"Bearer {self.token}"} if self.token else {})
        what = f"{method} {path}"
        try:
            with (
                httpx.Client(timeout=self.timeout_seconds, follow_redirects=False, headers=headers) as client,
                client.stream(method, f"{self.url.rstrip('/')}/{path.lstrip('/')}", json=document) as answer,
            ):
                _check(answer.status_code, what)
                body = _body(answer)
        except httpx.InvalidURL as error:
            raise ContentRefused(f"{what}: the address is none", fix="check the URL in the settings") from error
        except httpx.HTTPError as error:
            # Its text may hold the address, never the header.
            raise ContentUnavailable(f"{what}: {type(error).__name__}: {error}") from error
        return _parsed(body, what)


def _check(status: int, what: str) -> None:
    if 200 <= status < 300:
        return
    if status in (NOT_FOUND, GONE):
        kind = ContentGone if status == GONE else ContentMissing
        raise kind(f"{what}: the API answers {status}")
    if status >= 500 or status in PASSING:
        raise ContentUnavailable(f"{what}: the API answers {status}")
    fix = "check the token" if status in (401, 403) else "check the API's address and version"
    raise ContentRefused(f"{what}: the API answers {status}", fix=fix)


def _body(answer: httpx.Response) -> bytes:
    body = bytearray()
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > MOST_BYTES:
            raise ContentRefused(f"the API's answer has more than {MOST_BYTES} bytes")
    return bytes(body)


def _parsed(body: bytes, what: str) -> Mapping[str, Any]:
    if not body.strip():
        return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ContentRefused(f"{what}: the answer is no JSON") from error
    if not isinstance(document, dict):
        raise ContentRefused(f"{what}: the answer is no JSON object")
    return document
