"""The quarantine in memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from src.application.ports.clock import Clock
from src.application.ports.ledger import DeadLetter, DeadLetterFilter
from src.domain.errors import Conflict

PREFIX_LENGTH = 6
"""Shortest beginning of an id that `get` accepts (ports/ledger.py)."""


@dataclass
class MemoryDeadLetters:
    """DeadLetters. Thread-safe."""

    clock: Clock
    _letters: dict[str, DeadLetter] = field(default_factory=dict, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def add(self, letter: DeadLetter) -> None:
        """Keep; a repeated id changes nothing."""
        with self._lock:
            self._letters.setdefault(letter.id, letter)

    def list(self, criteria: DeadLetterFilter) -> Sequence[DeadLetter]:
        """Newest first."""
        with self._lock:
            found = [
                letter
                for letter in self._letters.values()
                if (criteria.ids is None or letter.id in criteria.ids)
                and criteria.group in (None, letter.error.code)
                and criteria.job_id in (None, letter.job_id)
                and criteria.type in (None, letter.type)
                and criteria.tenant in (None, letter.tenant)
            ]
        found.sort(key=lambda letter: (letter.created_at, letter.id), reverse=True)
        return found[criteria.offset : criteria.offset + criteria.limit]

    def get(self, letter_id: str) -> DeadLetter | None:
        """By id or by a unique beginning of it."""
        with self._lock:
            if letter_id in self._letters or len(letter_id) < PREFIX_LENGTH:
                return self._letters.get(letter_id)
            found = [letter for key, letter in self._letters.items() if key.startswith(letter_id)]
        if len(found) > 1:
            raise Conflict(
                f"{letter_id!r} is the beginning of {len(found)} dead letters' ids",
                fix="give more of the id",
            )
        return found[0] if found else None

    def groups(self) -> Mapping[tuple[str | None, str], int]:
        """Letters by job type and error class."""
        with self._lock:
            return Counter((letter.type, letter.error.code) for letter in self._letters.values())

    def remove(self, ids: Sequence[str]) -> int:
        """Forget."""
        with self._lock:
            return sum(self._letters.pop(letter_id, None) is not None for letter_id in ids)

    def unnotified(self, limit: int) -> Sequence[DeadLetter]:
        """Oldest first."""
        with self._lock:
            found = [letter for letter in self._letters.values() if letter.notified_at is None]
        return sorted(found, key=lambda letter: (letter.created_at, letter.id))[:limit]

    def notified(self, ids: Sequence[str]) -> None:
        """Mark as told, once."""
        with self._lock:
            for letter_id in ids:
                letter = self._letters.get(letter_id)
                if letter is not None and letter.notified_at is None:
                    self._letters[letter_id] = replace(letter, notified_at=self.clock.now())
