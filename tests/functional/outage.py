"""A steady stream of short jobs through two workers, one backend taken away in the middle, and the account of it."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from src.application.engine.waker import reference
from src.application.ports.ledger import JobFilter
from src.domain.errors import DatabaseUnavailable, QueueUnavailable
from src.domain.job import Job, JobDraft
from tests.functional.fleet import Fleet, wait_for
from tests.functional.places import place
from tests.servers.process import free_ports
from tests.servers.proxy import Act, Fault, Proxy

BOUND_SECONDS = 120.0
"""Only so that a broken test ends."""


@dataclass
class Outage:
    """A fleet, and how the backend in question is taken away and given back."""

    fleet: Fleet
    begin: Callable[[], object]
    end: Callable[[], object]


@contextmanager
def away(kind: str, folder: Path) -> Iterator[Outage]:
    """ "postgres" and "postgres-alone" (the queue is elsewhere) are killed -9 and started again on their data, so is "redis"
    (queue, lock and progress); "s3" answers 503."""
    with ExitStack() as ends:
        if kind == "s3":
            there = ends.enter_context(place(storage="s3", own=True))
            proxy = ends.enter_context(Proxy.to(there.servers["s3"]))
            there.environ["WORKER_STORAGE__ENDPOINT_URL"] = proxy.url
            busy = Fault(Act.ANSWER, b"", times=None)
            begin, end = (lambda: proxy.plan(busy)), (lambda: proxy.lift(busy))
        else:
            names = {
                "postgres": {"queue": "postgres", "database": "postgres"},
                "postgres-alone": {"queue": "redis", "database": "postgres"},
                "redis": {"queue": "redis", "database": "postgres", "lock": "redis"},
            }[kind]
            there = ends.enter_context(place(own=True, **names))  # type: ignore[arg-type]
            server = there.servers[kind.removesuffix("-alone")]
            begin, end = server.kill, server.start  # type: ignore[assignment]
        fleet = Fleet(folder, {**there.environ, "WORKER_LEASE__TTL_SECONDS": "15"})
        ends.callback(fleet.close)
        yield Outage(fleet, begin, end)


@dataclass
class Stream:
    """Submits jobs at a steady pace, as an API does: what is refused while a backend is away is tried again."""

    fleet: Fleet
    job_type: str
    per_second: float
    submitted: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """From now on."""
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more."""
        self._over.set()
        assert self._thread is not None
        self._thread.join(BOUND_SECONDS)

    def _feed(self) -> None:
        began = time.monotonic()
        while not self._over.is_set():
            due = began + self.submitted / self.per_second
            if self._over.wait(max(0.0, due - time.monotonic())):
                return
            try:
                self._submit(f"job-{self.submitted:05d}")
            except (DatabaseUnavailable, QueueUnavailable):
                self._over.wait(0.2)
            else:
                self.submitted += 1

    def _submit(self, name: str) -> None:
        adapters = self.fleet.adapters
        payload = {"action": "noop", "diary": str(self.fleet.diary)}
        row = adapters.ledger().admit(JobDraft(id=name, type=self.job_type, tenant="acme", payload=payload)).job
        assert row is not None
        adapters.queue_publisher().publish([reference(row)])
        adapters.ledger().change(name, lambda job, now: job.published(now))


@dataclass
class Readiness:
    """What the workers answer to `/healthz/ready`, looked at all the time."""

    ports: list[int]
    seen: list[tuple[float, int, bool]] = field(default_factory=list)
    """(epoch seconds, port, ready)"""
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """From now on."""
        threading.Thread(target=self._look, daemon=True).start()

    def stop(self) -> None:
        """No more."""
        self._over.set()

    def all_say(self, ready: bool) -> bool:
        """Whether every worker says so now."""
        return all(self.ask(port) is ready for port in self.ports)

    def first(self, ready: bool, after: float) -> float:
        """Seconds until every worker had said so."""
        return max(min(at for at, there, said in self.seen if there == port and said is ready and at >= after)
                   for port in self.ports) - after  # fmt: skip

    def wrong(self, ready: bool, begin: float, end: float) -> int:
        """How often a worker said so in that time."""
        return sum(1 for at, _, said in self.seen if said is ready and begin <= at <= end)

    @staticmethod
    def ask(port: int) -> bool:
        """One worker."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz/ready", timeout=5) as answer:
                return bool(json.load(answer)["ready"])
        except urllib.error.HTTPError as error:
            return bool(json.load(error)["ready"])
        except OSError:
            return False

    def _look(self) -> None:
        while not self._over.wait(0.25):
            for port in self.ports:
                ready = self.ask(port)
                self.seen.append((time.time(), port, ready))


@dataclass(frozen=True, slots=True)
class Account:
    """What was seen. Times are epoch seconds; rates are jobs per second."""

    began: float
    returned: float
    jobs: list[Job]
    readiness: Readiness
    logs: str

    def rate(self, begin: float, seconds: float) -> float:
        """Jobs finished in that time."""
        ends = [job.finished_at for job in self.jobs if job.finished_at is not None]
        return sum(1 for at in ends if begin <= at < begin + seconds) / seconds

    def back_after(self, baseline: float, share: float, window: float) -> float:
        """Seconds after the return from which on a window has that share of the baseline."""
        steps = (number / 4 for number in range(4 * 60))
        return next((at for at in steps if self.rate(self.returned + at, window) >= share * baseline), float("inf"))

    def check(self) -> None:
        """No job failed, none was lost, no attempt was spent on the outage."""
        assert Counter(job.state.value for job in self.jobs) == {"SUCCEEDED": len(self.jobs)}, self.logs
        assert [(job.id, job.attempts) for job in self.jobs if job.attempts != 1] == [], self.logs


def endure(outage: Outage, *, before: float, during: float, after: float, per_second: float, job_type: str) -> Account:
    """The whole of it: seconds of steady work before and after, of outage in between."""
    fleet, ports = outage.fleet, free_ports(2)
    workers = [fleet.start(WORKER_HEALTH__PORT=str(port)) for port in ports]
    pids = [worker.pid for worker in workers]
    readiness = Readiness(ports)
    stream = Stream(fleet, job_type, per_second)
    try:
        wait_for(lambda: readiness.all_say(ready=True), BOUND_SECONDS, "the workers are ready")
        readiness.start()
        stream.start()
        time.sleep(before)
        began = time.time()
        outage.begin()
        time.sleep(during)
        outage.end()
        returned = time.time()
        time.sleep(after)
        stream.stop()
        wait_for(lambda: all(state.is_terminal for state in fleet.states().values()), BOUND_SECONDS, "all jobs end")
        wait_for(lambda: readiness.all_say(ready=True), BOUND_SECONDS, "the workers are ready again")
    finally:
        stream.stop()
        readiness.stop()
    assert [worker.poll() for worker in workers] == [None, None], fleet.log()
    assert [worker.pid for worker in workers] == pids
    rows = [*fleet.adapters.ledger().list(JobFilter(limit=10_000))]
    assert len(rows) == stream.submitted
    logs = "\n".join(line for number in range(2) for line in fleet.log(number).splitlines() if "warn" in line.lower())
    return Account(began, returned, rows, readiness, logs[-20_000:])
