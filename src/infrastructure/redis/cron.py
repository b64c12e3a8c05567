"""Cron's memory beside a ledger in Redis. A moment and its job are one script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from src.application.ports.cron import Board, Standing, Tick
from src.application.ports.ledger import Admission
from src.domain.job import JobDraft
from src.infrastructure.redis.ledger import RedisLedger, at_time
from src.infrastructure.redis.ledger_rows import escaped, lines, plain


@dataclass
class RedisCronTicks:
    """CronTicks. Of what fired only the newest of each entry is kept, without an end: `cron:<name>` (lua/cron_board.lua)."""

    ledger: RedisLedger

    def board(self, schedules: Mapping[str, str]) -> Board:
        """With one script."""
        names = list(schedules)
        seconds, micros, *found = self.ledger.store.run("cron_board", lines(map(escaped, names)))
        standings = {
            name: _standing(dict(zip(flat[::2], flat[1::2], strict=True)), schedules[name])
            for name, flat in zip(names, found, strict=True)
        }
        return Board(at_time(seconds, micros), standings)

    def know(self, schedules: Mapping[str, str]) -> None:
        """With one script."""
        names, written = lines(map(escaped, schedules)), lines(map(escaped, schedules.values()))
        self.ledger.store.run("cron_know", names, written)

    def fire(self, name: str, scheduled_at: float, draft: JobDraft) -> Admission | None:
        """With one script, the second part of which is the ledger's own."""
        return self.ledger.admit_after("cron_fire", draft, escaped(name), repr(float(scheduled_at)))


def _standing(fields: Mapping[bytes, bytes], schedule: str) -> Standing:
    last = None
    if b"at" in fields:
        last = Tick(scheduled_at=float(fields[b"at"]), fired_at=float(fields[b"fired"]), job_id=plain(fields[b"job"]))
    known = {plain(key[6:]): float(value) for key, value in fields.items() if key.startswith(b"since:")}
    if schedule not in known:
        return Standing(None, last)
    return Standing(max(*known.values(), last.scheduled_at if last else 0.0), last)
