"""The job ledger in Redis: every move of a job is one script, and so are many beginnings and many successes.

A move is made here, from a row that was read, and written only if the row is still that one; else it is made again. Ended
jobs expire with all that belongs to them; active ones never do. What is where is said in lua/ledger_common.lua.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Any

from src.application.catalog import no_effects
from src.application.ports.ledger import Admission, Beat, Effects, Limits, Move, TenantFull, given_back, letter_of
from src.domain.errors import Conflict, DatabaseUnavailable, ErrorReport, NotFound
from src.domain.history import closed_attempt, is_dead_letter, is_reopened, starts_attempt
from src.domain.job import Job, JobDraft, JobState
from src.infrastructure.redis.ledger_letters import head_of
from src.infrastructure.redis.ledger_queries import RedisJobQueries
from src.infrastructure.redis.ledger_rows import (
    Row,
    about,
    attempt_text,
    changing,
    encode,
    encoded,
    escaped,
    fixed,
    group,
    lines,
    plain,
    quoted,
    to_row,
)
from src.infrastructure.redis.outbox import announced
from src.infrastructure.redis.server import facts

TRIES = 100
"""Times that a move is made, when others write the same row in between. Each time one of them gets on."""

MICROS = 1_000_000

BATCH = 200
"""Moves per script: it runs some milliseconds, and nobody else is served meanwhile."""

NO, YES, CANCEL = b"012"
"""Words of the scripts' answers, one letter for each job."""

TRIAL = "selftest"
"""Type, tenant and subject of the jobs of a start-up check."""

TRIAL_KEYS = (
    *(
        "types",
        "letters",
        "untold",
        "passing",
        f"tenant:{TRIAL}\t{TRIAL}",
        f'about:{TRIAL}\t"{TRIAL}"',
        f"letter:{TRIAL}.1",
    ),
    *(f"{kind}:{name}" for kind in ("job", "past") for name in (TRIAL, f"{TRIAL}-2")),
    *(f"{state.value}:{TRIAL}" for state in JobState),
)


@dataclass
class RedisLedger(RedisJobQueries):
    """JobLedger and JobQueries. Thread-safe. Of effects it knows events alone (outbox.py), and of moves that `change` makes:
    others would have to be written in the same commit, and what they write is elsewhere."""

    effects: Effects = no_effects

    def admit(self, draft: JobDraft, limits: Limits | None = None) -> Admission:
        """Insert, or answer with the row that is there, or reject."""
        return self._admission(draft, self.store.run("ledger_admit", *_asked(draft, limits or Limits())))

    def admit_after(self, first: str, draft: JobDraft, *args: str) -> Admission | None:
        """Admit, after something else that another script does, as one script. None when that one says `used`, having written
        nothing."""
        answer = self.store.run(f"{first}+ledger_admit", *_asked(draft, Limits()), *args)
        return None if answer[2] == b"used" else self._admission(draft, answer)

    @staticmethod
    def _admission(draft: JobDraft, answer: Sequence[Any]) -> Admission:
        seconds, micros, word, *there = answer
        if word == b"new":
            return Admission(Job.admitted(draft, at_time(seconds, micros)), created=True)
        if word == b"there":
            name, text = there
            return Admission(to_row(plain(name), text).job, created=False)
        return Admission(None, created=False, rejected=word.decode())

    def change(self, job_id: str, move: Move, *, running_per_tenant: int = 0) -> Job:
        """Apply a move and all that follows from it, with one script."""
        for _ in range(TRIES):
            seconds, micros, text = self.store.run("ledger_read", escaped(job_id))
            if text is None:
                raise NotFound(f"no job {job_id}")
            row, now = to_row(job_id, text), at_time(seconds, micros)
            new = move(row.job, now)
            if new is row.job:
                return new
            limit = running_per_tenant if starts_attempt(row.job, new) else 0
            (said,) = self._write([self._written(row, new, now, seconds * MICROS + micros, limit)])
            match said:
                case b"done":
                    return new
                case b"full":
                    raise TenantFull(new.tenant)
                case b"busy":
                    raise Conflict(f"another job is active for what job {job_id} is about")
        raise DatabaseUnavailable(f"job {job_id} was written by others {TRIES} times while it was to be changed")

    def change_many(self, job_ids: Collection[str], move: Move) -> Mapping[str, Job]:
        """Apply a move to each, with two scripts for each BATCH of them."""
        rows: dict[str, Job] = {}
        for start in range(0, len(ids := list(job_ids)), BATCH):
            some = ids[start : start + BATCH]
            seconds, micros, *texts = self.store.run("ledger_read", *map(escaped, some))
            now, moved = at_time(seconds, micros), dict[str, tuple[Job, Sequence[Any]]]()
            for job_id, text in zip(some, texts, strict=True):
                if text is None:
                    continue
                row = to_row(job_id, text)
                new = move(row.job, now)
                if new is row.job:
                    rows[job_id] = new
                else:
                    moved[job_id] = new, self._written(row, new, now, seconds * MICROS + micros)
            words = self._write([values for _, values in moved.values()]) if moved else ()
            # One that was written in between is left out.
            rows |= {job_id: moved[job_id][0] for job_id, word in zip(moved, words, strict=True) if word == b"done"}
        return rows

    def begin(self, drafts: Sequence[JobDraft], *, owner: str, lease_seconds: float) -> Mapping[str, Job]:
        """Admit and claim the new ones with one script."""
        if not drafts:
            return {}
        batches: dict[tuple[str, str, bool], list[JobDraft]] = {}
        for draft in drafts:
            batches.setdefault((draft.type, draft.tenant, draft.subject is not None), []).append(draft)
        args: list[str] = []
        for (_, _, subjects), some in batches.items():
            rests = map(fixed, some, encoded([draft.payload for draft in some]))
            rows = [f"{about(draft)}\n{rest}" for draft, rest in zip(some, rests, strict=True)] if subjects else rests
            args += (
                group(some[0]),
                "1" if subjects else "",
                lines([quoted(draft.id)[1:-1] for draft in some]),
                lines(rows),
            )
        seconds, micros, said = self.store.run("ledger_begin", quoted(owner), repr(float(lease_seconds)), *args)
        now = at_time(seconds, micros)
        asked: Iterable[JobDraft] = chain.from_iterable(batches.values())
        if said:
            asked = compress(asked, map(YES.__eq__, said))
        return {draft.id: Job.begun(draft, now, owner=owner, lease_seconds=lease_seconds) for draft in asked}

    def succeed(self, results: Mapping[str, tuple[int, Mapping[str, object]]]) -> Collection[str]:
        """Write the successes whose fence holds with one script."""
        if not results:
            return ()
        ids = lines([quoted(job_id)[1:-1] for job_id in results])
        fences = lines([str(fence) for fence, _ in results.values()])
        ends = lines(encoded([result for _, result in results.values()]))
        said = self.store.run("ledger_succeed", self.store.keep_millis, ids, fences, ends)
        if not said:
            return results.keys()
        return [job_id for job_id, word in zip(results, said, strict=True) if word == YES]

    def hand_back(self, holds: Mapping[str, int]) -> Collection[str]:
        """Give those back whose fence holds."""
        return given_back(self, holds)

    def beat(self, holds: Mapping[str, int], *, lease_seconds: float) -> Mapping[str, Beat]:
        """Renew the leases that are still held, with one script."""
        return self._look(holds, repr(float(lease_seconds)))

    def watch(self, holds: Mapping[str, int]) -> Mapping[str, Beat]:
        """Which leases are still held, and which jobs are to be cancelled."""
        return self._look(holds, "")

    def to_wake(self, limit: int, types: Collection[str] | None = None) -> Sequence[Job]:
        """Active rows whose time has come."""
        if types is not None and not types:
            return []
        wanted = "" if types is None else lines(map(escaped, sorted(types)))
        found = self.store.run("ledger_wake", limit, wanted)
        return [to_row(plain(name), text).job for name, text in zip(found[::2], found[1::2], strict=True)]

    # ------------------------------------------------------------------ Checkable
    def check(self) -> Sequence[str]:
        """Jobs and a letter go all the way through a ledger beside this one, which is gone afterwards. Raises ConfigError,
        DatabaseUnavailable."""
        return self.store.link.tried(self._check)

    def _check(self) -> Sequence[str]:
        trial = RedisLedger(self.url, self.name)
        trial.store.link = self.store.link
        trial.store.base += f"selftest-{uuid.uuid4().hex}:"
        try:
            _try(trial)
        finally:
            self.store.link.ask(lambda client: client.delete(*(trial.store.key(name) for name in TRIAL_KEYS)))
        return facts(self.store.link, kept="jobs", keeper="ledger")

    # ------------------------------------------------------------------ inside
    def _look(self, holds: Mapping[str, int], lease: str) -> Mapping[str, Beat]:
        if not holds:
            return {}
        ids, fences = lines(map(escaped, holds)), lines(map(str, holds.values()))
        said = self.store.run("ledger_beat", lease, ids, fences)
        return {
            job_id: Beat(held=word != NO, cancel_requested=word == CANCEL)
            for job_id, word in zip(holds, said, strict=True)
        }

    def _write(self, written: Sequence[Sequence[Any]]) -> Sequence[bytes]:
        """What became of each move, all by one script."""
        args = chain.from_iterable((len(values), *values) for values in written)
        said: Sequence[bytes] = self.store.run("ledger_write", *args)
        return said

    def _written(self, row: Row, new: Job, now: float, read_at: int, running_per_tenant: int = 0) -> Sequence[Any]:
        """A move, as lua/ledger_write.lua is told of it."""
        old = row.job
        closed = closed_attempt(old, new, now)
        letter = letter_of(new, now) if is_dead_letter(old, new) else None
        return (
            escaped(new.id),
            row.version,
            read_at,
            changing(new, max(read_at, row.version + 1), row.past + (closed is not None)),
            old.state.value,
            new.state.value,
            group(new),
            about(new),
            repr(float((new.finished_at if new.state.is_terminal else new.wake_at) or 0.0)),
            repr(float(new.lease_until or 0.0)),
            self.store.keep_millis,
            running_per_tenant,
            attempt_text(closed) if closed else "",
            f"{escaped(old.id)}.{old.generation}" if is_reopened(old, new) else "",
            escaped(letter.id) if letter else "",
            head_of(letter) if letter else "",
            letter.body if letter else "",
            *announced(self.effects(old, new)),
        )


def _asked(draft: JobDraft, most: Limits) -> Sequence[Any]:
    """The arguments of an admission."""
    return (
        escaped(draft.id),
        repr(float(draft.delay_seconds)),
        group(draft),
        about(draft),
        fixed(draft, encode(draft.payload)),
        most.active_per_tenant,
        most.active_total,
        most.total_per_subject,
    )


def _try(trial: RedisLedger) -> None:
    """One of everything that a worker does."""
    draft = JobDraft(id=TRIAL, type=TRIAL, tenant=TRIAL, payload={}, subject=TRIAL)
    late = JobDraft(id=f"{TRIAL}-2", type=TRIAL, tenant=TRIAL, payload={})
    lost = ErrorReport(TRIAL, "never happened", retryable=False)
    trial.admit(late)
    trial.to_wake(1)
    fence = trial.begin([draft], owner=TRIAL, lease_seconds=60)[draft.id].fence
    held = trial.beat({draft.id: fence}, lease_seconds=60)[draft.id].held
    trial.change(draft.id, lambda job, now: job.fail(now, fence=fence, error=lost, dice=0.0))
    trial.change(draft.id, lambda job, now: job.reopen(now))
    done = trial.change(draft.id, lambda job, now: job.claim(now, owner=TRIAL, lease_seconds=60)[0])
    if not held or not trial.succeed({draft.id: (done.fence, {})}) or len(trial.attempts(draft.id)) < 2:
        raise DatabaseUnavailable(
            f"Redis at {trial.store.link.address.shown} lost a job within a moment",
            fix="is its memory full, or do several servers answer at this address?",
        )


def at_time(seconds: int, micros: int) -> float:
    """The server's time of a script's answer."""
    # As the scripts reckon, to the last bit.
    return seconds + micros / MICROS
