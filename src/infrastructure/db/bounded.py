"""A PostgreSQL connection whose waits end even when the server says nothing any more."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.waiting import Ready, Wait

Answer = TypeVar("Answer")

NOTHING = 0
"""What psycopg tells a waiting generator when nothing has happened for a while."""


class BoundedConnection(psycopg.Connection[Any]):
    """The server ends a statement that takes too long (statement_timeout); a server that hangs, or a pooler that waits for
    one, ends nothing. After `answer_seconds` without an answer the connection is closed and given up."""

    answer_seconds: float = 60.0

    def wait(
        self, gen: Generator[Wait, Ready | int, Answer], interval: float = 0.1, timeout: float | None = None
    ) -> Answer:
        """As psycopg's, with an end."""
        if timeout is not None:
            # Waiting for a notification: that nothing comes is no failure.
            return super().wait(gen, interval, timeout=timeout)
        try:
            wanted = next(gen)
        except StopIteration as done:
            # Most calls of a short transaction ask the server nothing: they must not cost as much as if they did.
            answer: Answer = done.value
            return answer
        return super().wait(self._bounded(gen, wanted), interval)

    def _bounded(self, gen: Generator[Wait, Ready | int, Answer], wanted: Wait) -> Generator[Wait, Ready | int, Answer]:
        deadline = time.monotonic() + self.answer_seconds
        try:
            while True:
                ready = yield wanted
                if ready == NOTHING and time.monotonic() > deadline:
                    gen.close()
                    # Closed first: nobody may take an answer that comes later for the answer to something else.
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server has not answered for {self.answer_seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as done:
            answer: Answer = done.value
            return answer
