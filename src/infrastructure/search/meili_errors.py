"""What Meilisearch's answers, silences and failed tasks mean to us."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
from meilisearch.errors import MeilisearchApiError, MeilisearchError

from src.application.ports.search import SearchRefused, SearchUnavailable
from src.domain.errors import WorkerError

PASSING_STATUSES = frozenset({408, 425, 429})
"""Refusals that say "later"; so do all from 500 on."""

PASSING_TYPES = frozenset({"internal", "system"})
"""Types of errors that are the server's or its disk's. The others are `invalid_request` and `auth`."""

PASSING_CODES = frozenset({"index_not_found", "too_many_search_requests", "vector_embedding_error"})
"""Of type `invalid_request`, and yet nobody's fault here: somebody removed the index between two calls, and the next attempt
makes it again; the last two are the server's load and another service."""

DENIED = frozenset({401, 403})

NO_INDEX = "index_not_found"


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raises SearchRefused or SearchUnavailable for whatever the client raises while it does `what`."""
    try:
        yield
    except MeilisearchApiError as error:
        raise _answered(what, error) from error
    except (MeilisearchError, requests.RequestException) as error:
        # Timeouts, broken connections, answers cut short. The text may hold the address, never the key.
        raise SearchUnavailable(f"{what}: {type(error).__name__}: {error}", fix="is the search server up?") from error
    except (ValueError, TypeError, KeyError) as error:
        # The client takes an answer apart without looking: a proxy's page instead of JSON, a field that is not there.
        raise SearchUnavailable(f"{what}: the answer is not Meilisearch's: {type(error).__name__}") from error


def is_missing(error: MeilisearchApiError) -> bool:
    """Whether there is no such index."""
    return bool(error.code == NO_INDEX)


def is_denied(error: MeilisearchApiError) -> bool:
    """Whether the key is the reason."""
    return error.status_code in DENIED


def _answered(what: str, error: MeilisearchApiError) -> WorkerError:
    said = f"{what}: Meilisearch answers {error.status_code} {error.code or ''}: {error.message}"
    if is_denied(error):
        return SearchRefused(
            said, fix="check the key in WORKER_SEARCH__API_KEY; `mediaworker doctor` says what it lacks"
        )
    passing = error.status_code >= 500 or error.status_code in PASSING_STATUSES
    if passing or error.type in PASSING_TYPES or error.code in PASSING_CODES:
        return SearchUnavailable(said)
    return SearchRefused(said)


def failed_task(what: str, uid: int, error: Mapping[str, Any] | None) -> WorkerError:
    """What a task that failed, or was canceled (then it has no error), raises."""
    if error is None:
        return SearchUnavailable(f"{what}: Meilisearch's task {uid} was canceled")
    said = f"{what}: Meilisearch's task {uid} failed, {error.get('code')}: {error.get('message')}"
    if error.get("type") in PASSING_TYPES or error.get("code") in PASSING_CODES:
        return SearchUnavailable(said)
    return SearchRefused(said)


class Missing(Exception):
    """There is no such index."""


@contextmanager
def or_missing(what: str) -> Iterator[None]:
    """As `translated`, but an index that is not there is a case of its own."""
    with translated(what):
        try:
            yield
        except MeilisearchApiError as error:
            if is_missing(error):
                raise Missing from error
            raise
