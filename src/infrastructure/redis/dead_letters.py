"""The quarantine beside the ledger in Redis. A job's letter goes with the job's row; a message that could not become a job
is kept until somebody removes it: there is no other copy of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from src.application.ports.ledger import DeadLetter, DeadLetterFilter
from src.domain.errors import Conflict
from src.infrastructure.redis.ledger_letters import head_of, to_letter
from src.infrastructure.redis.ledger_queries import GLOB, PREFIX_LENGTH, scanned
from src.infrastructure.redis.ledger_rows import escaped, plain
from src.infrastructure.redis.ledger_store import LedgerStore

PAGE = 200
BODIES = 20
"""Letters per script when their bodies are wanted: each has up to 256 KiB."""


@dataclass
class RedisDeadLetters:
    """DeadLetters. Thread-safe."""

    url: str | None = field(repr=False)
    name: str = "ledger"
    store: LedgerStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = LedgerStore(self.url, self.name)

    def add(self, letter: DeadLetter) -> None:
        """Keep; a repeated id changes nothing."""
        told = "" if letter.notified_at is None else repr(float(letter.notified_at))
        since = repr(float(letter.created_at))
        self.store.run("ledger_letter", escaped(letter.id), since, told, head_of(letter), letter.body)

    def list(self, criteria: DeadLetterFilter) -> Sequence[DeadLetter]:
        """Newest first."""
        if criteria.ids is None:
            heads = self._all()
        else:
            given = list(dict.fromkeys(map(escaped, criteria.ids)))
            named = [
                letter for start in range(0, len(given), PAGE) for letter in self._read(given[start : start + PAGE])
            ]
            heads = iter(sorted(named, key=lambda letter: (letter.created_at, letter.id), reverse=True))
        wanted = (
            letter
            for letter in heads
            if criteria.group in (None, letter.error.code)
            and criteria.job_id in (None, letter.job_id)
            and criteria.type in (None, letter.type)
            and criteria.tenant in (None, letter.tenant)
        )
        return self._whole(list(islice(wanted, criteria.offset, criteria.offset + criteria.limit)))

    def get(self, letter_id: str) -> DeadLetter | None:
        """By id or by a unique beginning of it."""
        found = self._read([escaped(letter_id)])
        if not found and len(letter_id) >= PREFIX_LENGTH:
            pattern = escaped(letter_id).translate(GLOB) + "*"
            found = self._read(scanned(self.store, self.store.key("letters"), pattern)[:PAGE])
            found = [letter for letter in found if letter.id.startswith(letter_id)]
        if len(found) > 1:
            raise Conflict(f"{letter_id!r} is the beginning of several ids", fix="give more of the id")
        return next(iter(self._whole(found)), None)

    def groups(self) -> Mapping[tuple[str | None, str], int]:
        """Letters by job type and error class."""
        return Counter((letter.type, letter.error.code) for letter in self._all())

    def remove(self, ids: Sequence[str]) -> int:
        """Forget."""
        given = [escaped(letter_id) for letter_id in ids]
        pages = (given[start : start + PAGE] for start in range(0, len(given), PAGE))
        return sum(self.store.run("ledger_letters_gone", *page) for page in pages)

    def unnotified(self, limit: int) -> Sequence[DeadLetter]:
        """Oldest first."""
        index = self.store.key("untold")
        # Letters that expired untold leave the index when they are met here; then there is room for others.
        while names := self.store.link.ask(lambda client: client.zrange(index, 0, limit - 1)) if limit > 0 else []:
            found = self._whole(self._read([name.decode() for name in names]))
            if len(found) == len(names) or len(names) < limit:
                return found
        return []

    def notified(self, ids: Sequence[str]) -> None:
        """Mark as told, once."""
        for start in range(0, len(ids), PAGE):
            self.store.run("ledger_letters_told", *map(escaped, ids[start : start + PAGE]))

    def close(self) -> None:
        """Let connections go."""
        self.store.close()

    # ------------------------------------------------------------------ inside
    def _all(self) -> Iterator[DeadLetter]:
        """Without their bodies, newest first."""
        index, offset, seen = self.store.key("letters"), 0, set[str]()
        while True:
            at = offset
            names = self.store.link.ask(lambda client: client.zrevrange(index, at, at + PAGE - 1))  # noqa: B023
            found = self._read([name.decode() for name in names])
            # One that is added meanwhile moves the others down, one that is gone moves them up.
            yield from (letter for letter in found if letter.id not in seen)
            seen.update(letter.id for letter in found)
            offset += len(found)
            if len(names) < PAGE:
                return

    def _read(self, names: Sequence[str]) -> Sequence[DeadLetter]:
        """Those that are there, without their bodies."""
        parts = iter(self.store.run("ledger_letters", "", *names) if names else ())
        heads = zip(names, parts, parts, parts, strict=True)
        return [to_letter(plain(name.encode()), head, told, b"") for name, head, told, _ in heads if head]

    def _whole(self, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        """With their bodies. One that went meanwhile is left out."""
        whole: Sequence[DeadLetter] = []
        for start in range(0, len(letters), BODIES):
            some = letters[start : start + BODIES]
            parts = iter(self.store.run("ledger_letters", "bodies", *(escaped(letter.id) for letter in some)))
            found = zip(some, parts, parts, parts, strict=True)
            whole = [*whole, *(replace(letter, body=body) for letter, head, _, body in found if head)]
        return whole
