"""Hostile wrappers of the ports: everything that a distributed system does to one, from a script, never by chance.

    script = Script()
    ledger = FlakyLedger(MemoryLedger(...), script)
    script.plan("change", OK, AFTER)     # the first change is well, the reply of the second is lost

A method whose script is empty works. Every trouble that happened is remembered in `script.happened`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from src.application.ports.ledger import (
    Admission,
    Beat,
    JobFilter,
    JobLedger,
    JobQueries,
    Limits,
    Move,
    RevocableLedger,
)
from src.application.ports.lock import Idempotency
from src.application.ports.progress import Progress
from src.application.ports.queue import Delivery, Envelope, QueueConsumer, QueueDepth, QueueInspector, QueuePublisher
from src.application.ports.storage import Storage, StoredObject
from src.domain.errors import (
    DatabaseUnavailable,
    LockUnavailable,
    NetworkError,
    QueueUnavailable,
    StorageUnavailable,
)
from src.domain.history import Attempt
from src.domain.job import Job, JobDraft, JobState
from src.domain.progress import ProgressReport

OK = "ok"
BEFORE = "before"
"""It did not happen, and the caller gets an error."""
AFTER = "after"
"""It happened, and the caller gets an error: the reply was lost (F08)."""
LOSE = "lose"
"""It did not happen, and nobody says so."""
DUPLICATE = "duplicate"
"""The message comes (or is stored) twice."""
REVERSE = "reverse"
"""Messages come in the wrong order."""
EMPTY = "empty"
"""Messages are there, but this receive does not see them."""
EXPIRE = "expire"
"""The message's visibility, or the lock, ends at once: somebody else gets it while this worker believes to have it."""
DROP = "drop"
"""The lock's server forgot the key (F14): this call finds it free."""
REFUSE = "refuse"
"""Somebody else holds the lock, says the server."""
SHORT = "short"
"""Fewer bytes than asked for, without an error (F17)."""
CHANGED = "changed"
"""The object was replaced meanwhile."""

Answer = TypeVar("Answer")


@dataclass
class Script:
    """What goes wrong next, method by method; one word per call."""

    words: defaultdict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    happened: list[tuple[str, str]] = field(default_factory=list)
    down: set[str] = field(default_factory=set)
    """Methods that fail BEFORE until taken out again: a server that is away."""

    def plan(self, method: str, *words: str) -> None:
        """Add to what the method will do."""
        self.words[method].extend(words)

    def next(self, method: str) -> str:
        """The word for this call."""
        waiting = self.words[method]
        word = waiting.popleft() if waiting else BEFORE if method in self.down else OK
        if word != OK:
            self.happened.append((method, word))
        return word

    def run(self, method: str, error: Callable[[str], Exception], work: Callable[[], Answer]) -> Answer:
        """Do `work` as scripted with BEFORE and AFTER."""
        return around(self.next(method), method, error, work)


def around(word: str, method: str, error: Callable[[str], Exception], work: Callable[[], Answer]) -> Answer:
    """Do `work`, with an error before or after it."""
    if word == BEFORE:
        raise error(f"scripted: {method} did not happen")
    if word not in (OK, AFTER):
        raise AssertionError(f"{method} knows no trouble called {word!r}")
    answer = work()
    if word == AFTER:
        raise error(f"scripted: the reply to {method} was lost")
    return answer


@dataclass
class FlakyLedger:
    """JobLedger. Words: BEFORE, AFTER on every method."""

    inner: JobLedger
    script: Script = field(default_factory=Script)

    def admit(self, draft: JobDraft, limits: Limits | None = None) -> Admission:
        """See JobLedger."""
        return self.script.run("admit", DatabaseUnavailable, lambda: self.inner.admit(draft, limits))

    def change(self, job_id: str, move: Move, *, running_per_tenant: int = 0) -> Job:
        """See JobLedger."""
        call = partial(self.inner.change, job_id, move, running_per_tenant=running_per_tenant)
        return self.script.run("change", DatabaseUnavailable, call)

    def change_many(self, job_ids: Collection[str], move: Move) -> Mapping[str, Job]:
        """See JobLedger."""
        return self.script.run("change_many", DatabaseUnavailable, lambda: self.inner.change_many(job_ids, move))

    def begin(self, drafts: Sequence[JobDraft], *, owner: str, lease_seconds: float) -> Mapping[str, Job]:
        """See JobLedger."""
        call = partial(self.inner.begin, drafts, owner=owner, lease_seconds=lease_seconds)
        return self.script.run("begin", DatabaseUnavailable, call)

    def succeed(self, results: Mapping[str, tuple[int, Mapping[str, Any]]]) -> Collection[str]:
        """See JobLedger."""
        return self.script.run("succeed", DatabaseUnavailable, lambda: self.inner.succeed(results))

    def hand_back(self, holds: Mapping[str, int]) -> Collection[str]:
        """See JobLedger."""
        return self.script.run("hand_back", DatabaseUnavailable, lambda: self.inner.hand_back(holds))

    def beat(self, holds: Mapping[str, int], *, lease_seconds: float) -> Mapping[str, Beat]:
        """See JobLedger."""
        return self.script.run("beat", DatabaseUnavailable, lambda: self.inner.beat(holds, lease_seconds=lease_seconds))

    def watch(self, holds: Mapping[str, int]) -> Mapping[str, Beat]:
        """See JobLedger."""
        return self.script.run("watch", DatabaseUnavailable, lambda: self.inner.watch(holds))

    def to_wake(self, limit: int, types: Collection[str] | None = None) -> Sequence[Job]:
        """See JobLedger."""
        return self.script.run("to_wake", DatabaseUnavailable, lambda: self.inner.to_wake(limit, types))


class WholeLedger(JobLedger, JobQueries, Protocol):
    """A ledger seen from all sides."""


@dataclass
class FlakyWholeLedger(FlakyLedger):
    """The same with JobQueries, which are never used to decide a move and so never fail here."""

    inner: WholeLedger

    def find(self, job_id: str) -> Job | None:
        """See JobQueries."""
        return self.inner.find(job_id)

    def list(self, criteria: JobFilter) -> Sequence[Job]:
        """See JobQueries."""
        return self.inner.list(criteria)

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """See JobQueries."""
        return self.inner.attempts(job_id)

    def counts(self, *, ended_from: float | None = None) -> Mapping[tuple[str, JobState], int]:
        """See JobQueries."""
        return self.inner.counts(ended_from=ended_from)


class EffectsLedger(WholeLedger, RevocableLedger, Protocol):
    """A ledger that writes effects, seen from all sides."""


@dataclass
class FlakyEffectsLedger(FlakyWholeLedger):
    """The same with RevocableLedger."""

    inner: EffectsLedger

    def withdraw(self, job_id: str) -> Job | None:
        """See RevocableLedger."""
        return self.script.run("withdraw", DatabaseUnavailable, lambda: self.inner.withdraw(job_id))


class WholeQueue(QueueConsumer, QueuePublisher, QueueInspector, Protocol):
    """A queue seen from all sides."""


@dataclass
class FlakyQueue:
    """Consumer, publisher and inspector. BEFORE and AFTER on every method (AFTER a receive, the messages are hidden and
    nobody has them); receive also DUPLICATE, REVERSE, EMPTY, EXPIRE; ack and extend also LOSE; publish also DUPLICATE
    (under another key, as on queues that can't tell) and LOSE."""

    inner: WholeQueue
    script: Script = field(default_factory=Script)

    def receive(self, limit: int, *, wait_seconds: float, visibility_seconds: float) -> Sequence[Delivery]:
        """See QueueConsumer."""
        word = self.script.next("receive")
        if word == EMPTY:
            return []
        plain = word if word in (BEFORE, AFTER) else OK
        taken = around(
            plain,
            "receive",
            QueueUnavailable,
            lambda: self.inner.receive(limit, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds),
        )
        match word:
            case "duplicate":
                return [*taken, *taken][: max(limit, 2)]
            case "reverse":
                return list(reversed(taken))
            case "expire":
                self.inner.extend(taken, visibility_seconds=0)
        return taken

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See QueueConsumer."""
        self._unless_lost("ack", lambda: self.inner.ack(deliveries))

    def release(self, delivery: Delivery, *, delay_seconds: float) -> None:
        """See QueueConsumer."""
        self._unless_lost("release", lambda: self.inner.release(delivery, delay_seconds=delay_seconds))

    def extend(self, deliveries: Sequence[Delivery], *, visibility_seconds: float) -> None:
        """See QueueConsumer."""
        self._unless_lost("extend", lambda: self.inner.extend(deliveries, visibility_seconds=visibility_seconds))

    def close(self) -> None:
        """See QueueConsumer."""
        self.inner.close()

    def publish(self, envelopes: Sequence[Envelope]) -> None:
        """See QueuePublisher."""
        word = self.script.next("publish")
        if word == LOSE:
            return
        if word == DUPLICATE:
            again = [
                Envelope(
                    body=one.body,
                    key=f"{one.key}#again",
                    delay_seconds=one.delay_seconds,
                    priority=one.priority,
                    attributes=one.attributes,
                )
                for one in envelopes
            ]
            self.inner.publish([*envelopes, *again])
            return
        around(word, "publish", QueueUnavailable, lambda: self.inner.publish(envelopes))

    def depth(self) -> QueueDepth:
        """See QueueInspector."""
        return self.script.run("depth", QueueUnavailable, self.inner.depth)

    def _unless_lost(self, method: str, work: Callable[[], None]) -> None:
        word = self.script.next(method)
        if word != LOSE:
            around(word, method, QueueUnavailable, work)


class ForgetfulLock(Idempotency, Protocol):
    """A lock whose server can lose a key (MemoryIdempotency)."""

    def forget(self, key: str) -> None:
        """Lose it."""


@dataclass
class FlakyLock:
    """Idempotency. BEFORE and AFTER on every method; DROP on every method (the key is lost first, so acquire hands it
    out although somebody holds it); acquire also EXPIRE (ours, and lost at once) and REFUSE; release also LOSE."""

    inner: ForgetfulLock
    script: Script = field(default_factory=Script)

    def acquire(self, key: str, *, ttl_seconds: float) -> str | None:
        """See Idempotency."""
        word = self._word("acquire", key)
        if word == REFUSE:
            return None
        plain = OK if word == EXPIRE else word
        token = around(plain, "acquire", LockUnavailable, lambda: self.inner.acquire(key, ttl_seconds=ttl_seconds))
        if word == EXPIRE and token is not None:
            self.inner.forget(key)
        return token

    def renew(self, key: str, token: str, *, ttl_seconds: float) -> bool:
        """See Idempotency."""
        word = self._word("renew", key)
        return around(word, "renew", LockUnavailable, lambda: self.inner.renew(key, token, ttl_seconds=ttl_seconds))

    def release(self, key: str, token: str) -> bool:
        """See Idempotency."""
        word = self._word("release", key)
        if word == LOSE:
            return True
        return around(word, "release", LockUnavailable, lambda: self.inner.release(key, token))

    def _word(self, method: str, key: str) -> str:
        word = self.script.next(method)
        if word != DROP:
            return word
        self.inner.forget(key)
        return OK


@dataclass
class FlakyProgress:
    """Progress. Words: BEFORE, AFTER on every method."""

    inner: Progress
    script: Script = field(default_factory=Script)

    def record(self, job_id: str, fence: int, report: ProgressReport) -> None:
        """See Progress."""
        self.script.run("record", NetworkError, lambda: self.inner.record(job_id, fence, report))

    def latest(self, job_id: str) -> ProgressReport | None:
        """See Progress."""
        return self.script.run("latest", NetworkError, lambda: self.inner.latest(job_id))

    def clear(self, job_id: str) -> None:
        """See Progress."""
        self.script.run("clear", NetworkError, lambda: self.inner.clear(job_id))


@dataclass
class FlakyStorage:
    """Storage. BEFORE (a 503) and AFTER on every method; read also SHORT and CHANGED. `log` keeps every
    write in order, for checkers."""

    inner: Storage
    script: Script = field(default_factory=Script)
    log: list[tuple[str, str]] = field(default_factory=list)

    def head(self, key: str) -> StoredObject:
        """See Storage."""
        return self.script.run("head", StorageUnavailable, lambda: self.inner.head(key))

    def read(self, key: str, offset: int, length: int, *, version: str | None = None) -> bytes:
        """See Storage."""
        word = self.script.next("read")
        if word == CHANGED:
            raise StorageUnavailable(f"scripted: object {key} changed while it was read")
        plain = OK if word == SHORT else word
        content = around(
            plain, "read", StorageUnavailable, lambda: self.inner.read(key, offset, length, version=version)
        )
        return content[: len(content) // 2] if word == SHORT else content

    def put_file(self, key: str, path: Path, *, content_type: str, cache_control: str) -> StoredObject:
        """See Storage."""

        def put() -> StoredObject:
            self.log.append(("put", key))
            return self.inner.put_file(key, path, content_type=content_type, cache_control=cache_control)

        return self.script.run("put_file", StorageUnavailable, put)

    def put_bytes(self, key: str, content: bytes, *, content_type: str, cache_control: str) -> StoredObject:
        """See Storage."""

        def put() -> StoredObject:
            self.log.append(("put", key))
            return self.inner.put_bytes(key, content, content_type=content_type, cache_control=cache_control)

        return self.script.run("put_bytes", StorageUnavailable, put)

    def copy(self, source: str, target: str) -> StoredObject:
        """See Storage."""

        def copy() -> StoredObject:
            self.log.append(("put", target))
            return self.inner.copy(source, target)

        return self.script.run("copy", StorageUnavailable, copy)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """See Storage."""
        return self.script.run("list", StorageUnavailable, lambda: self.inner.list(prefix))

    def delete(self, keys: Sequence[str]) -> None:
        """See Storage."""

        def delete() -> None:
            self.log.extend(("delete", key) for key in keys)
            self.inner.delete(keys)

        self.script.run("delete", StorageUnavailable, delete)

    def local_path(self, key: str) -> Path | None:
        """See Storage; None, so that callers take the road of ranged reads."""
        self.inner.local_path(key)
        return None
