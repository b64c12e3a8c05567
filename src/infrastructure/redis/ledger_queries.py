"""Reading the jobs of a ledger in Redis. There is no index by creation: a job's score in the index of its state is never
before its creation, so a list that is read from the highest score down is complete when the scores fall below its last."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from redis import Redis

from src.application.ports.ledger import JobFilter
from src.domain.errors import Conflict
from src.domain.history import Attempt, told_by
from src.domain.job import ACTIVE_STATES, Job, JobState
from src.infrastructure.redis.ledger_rows import escaped, plain, to_attempt, to_row
from src.infrastructure.redis.ledger_store import KEEP_SECONDS, LedgerStore

PREFIX_LENGTH = 6
"""Shortest beginning of an id that is accepted for the id (ports/ledger.py)."""

PAGE = 200
"""Rows per script: a payload has up to 256 KiB."""

SCAN = 1000
GLOB = str.maketrans({mark: f"\\{mark}" for mark in "\\*?[]^-"})

ENDED = tuple(state for state in JobState if state not in ACTIVE_STATES)

Place = tuple[float, str, str]
"""(score, id as in keys, index)"""


@dataclass
class RedisJobQueries:
    """JobQueries."""

    url: str | None = field(repr=False)
    name: str = "ledger"
    keep_seconds: float = KEEP_SECONDS
    store: LedgerStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = LedgerStore(self.url, self.name, self.keep_seconds)

    def find(self, job_id: str) -> Job | None:
        """By id or by a unique beginning of it."""
        text = self.store.run("ledger_read", escaped(job_id))[2]
        if text is not None:
            return to_row(job_id, text).job
        if len(job_id) < PREFIX_LENGTH:
            return None
        found = {job.id: job for job in self._beginning(job_id)}
        if len(found) > 1:
            raise Conflict(f"{job_id!r} is the beginning of several ids", fix="give more of the id")
        return next(iter(found.values()), None)

    def list(self, criteria: JobFilter) -> Sequence[Job]:
        """Newest first, or by their end."""
        most = criteria.offset + criteria.limit
        found = self._by_end(criteria) if criteria.by_end else iter(self._newest(criteria, most))
        return list(islice(found, criteria.offset, most))

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """Oldest first."""
        text, past = self.store.run("ledger_history", escaped(job_id))
        told = told_by(to_row(job_id, text).job) if text else None
        return [*(to_attempt(job_id, one) for one in past), *([told] if told else [])]

    def counts(self, *, ended_from: float | None = None) -> Mapping[tuple[str, JobState], int]:
        """Rows by type and state."""
        since = "" if ended_from is None else repr(float(ended_from))
        found = iter(self.store.run("ledger_counts", self.store.keep_millis, since))
        return {
            (plain(name), JobState(state.decode())): count
            for name, state, count in zip(found, found, found, strict=False)
        }

    def close(self) -> None:
        """Let connections go."""
        self.store.close()

    # ------------------------------------------------------------------ inside
    def _indexes(self, criteria: JobFilter) -> Sequence[str]:
        states = ENDED if criteria.by_end else tuple(JobState)
        if criteria.state is not None:
            states = (criteria.state,) if criteria.state in states else ()
        return [self.store.key(state.value, name) for name in self._types(criteria) for state in states]

    def _types(self, criteria: JobFilter) -> Sequence[str]:
        if criteria.type is not None:
            return [escaped(criteria.type)]
        known = self.store.link.ask(lambda client: client.smembers(self.store.key("types")))
        return sorted(name.decode() for name in known)

    def _newest(self, criteria: JobFilter, most: int) -> Sequence[Job]:
        indexes = self._indexes(criteria)
        places = heapq.merge(*(self._places(index, "+inf", "-inf") for index in indexes), reverse=True)
        found: dict[str, Job] = {}
        last: float | None = None
        while some := list(islice(places, PAGE)):
            if last is not None and some[0][0] < last:
                break
            found.update((job.id, job) for _, job in self._rows(some) if _wanted(job, criteria))
            if len(found) >= most:
                newest = heapq.nlargest(most, found.values(), key=_created)
                found, last = {job.id: job for job in newest}, newest[-1].created_at if newest else float("inf")
        return sorted(found.values(), key=_created, reverse=True)

    def _by_end(self, criteria: JobFilter) -> Iterator[Job]:
        low = "-inf" if criteria.ended_from is None else repr(float(criteria.ended_from))
        high = "+inf" if criteria.ended_to is None else repr(float(criteria.ended_to))
        places = heapq.merge(*(self._places(index, low, high) for index in self._indexes(criteria)))
        seen: set[str] = set()
        while some := list(islice(places, PAGE)):
            for ended_at, job in self._rows(some):
                # Opened again or ended anew since, or a place that an expired row of this id left: it is told of in its own place.
                if job.id not in seen and job.finished_at == ended_at and _wanted(job, criteria):
                    seen.add(job.id)
                    yield job

    def _places(self, index: str, start: str, stop: str) -> Iterator[Place]:
        """From the score `start` to the score `stop`."""
        down, since, met = stop == "-inf", start, 0
        while True:
            # On from the last score, and not by rank: what has expired leaves the index meanwhile, and the others move up.
            found = self._page(index, down, since, since, met) if met else []
            if len(found) < PAGE:
                found = [*found, *self._page(index, down, f"({since}" if met else since, stop)]
            for name, score in found:
                met = met + 1 if repr(score) == since else 1
                since = repr(score)
                yield score, name.decode(), index
            if len(found) < PAGE:
                return

    def _page(self, index: str, down: bool, since: str, stop: str, offset: int = 0) -> Any:
        def page(client: Redis) -> Any:
            turn = client.zrevrangebyscore if down else client.zrangebyscore
            return turn(index, since, stop, start=offset, num=PAGE, withscores=True)

        return self.store.link.ask(page)

    def _rows(self, places: Sequence[Place]) -> Iterator[tuple[float, Job]]:
        """With the scores of their places."""
        given = [part for _, name, index in places for part in (index, name)]
        texts = self.store.run("ledger_rows", *given)
        for (score, name, _), text in zip(places, texts, strict=True):
            if text:
                yield score, to_row(plain(name.encode()), text).job

    def _beginning(self, prefix: str) -> Iterator[Job]:
        """Jobs whose ids begin so, two at most."""
        pattern = escaped(prefix).translate(GLOB) + "*"
        met: set[str] = set()
        for index in self._indexes(JobFilter()):
            places = [(0.0, name, index) for name in scanned(self.store, index, pattern) if name not in met]
            for start in range(0, len(places), PAGE):
                for _, job in self._rows(places[start : start + PAGE]):
                    if job.id.startswith(prefix):
                        yield job
                        met.add(escaped(job.id))
                        if len(met) > 1:
                            return


def scanned(store: LedgerStore, index: str, pattern: str) -> Sequence[str]:
    """Members of a sorted set that match, each once."""
    found: dict[str, None] = {}
    cursor = 0
    while True:
        at = cursor
        cursor, pairs = store.link.ask(lambda client: client.zscan(index, at, match=pattern, count=SCAN))  # noqa: B023
        found.update((name.decode(), None) for name, _ in pairs)
        if cursor == 0:
            return list(found)


def _wanted(job: Job, criteria: JobFilter) -> bool:
    return (
        criteria.state in (None, job.state)
        and criteria.type in (None, job.type)
        and criteria.tenant in (None, job.tenant)
    )


def _created(job: Job) -> tuple[float, str]:
    return job.created_at, job.id
