"""A crash storm on a deployment of any queue: workers and servers are killed all the time, then comes the account.

Lost is a job that did not end SUCCEEDED. A double effect is a job that a second commit made SUCCEEDED, or a video that a second
one made READY: triggers in the database count them (witness.py). The handlers' own diary says how often work was begun and
ended, which kills may make more often.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from src.application.ports.ledger import DeadLetterFilter
from src.application.ports.queue import Envelope
from src.domain.errors import DatabaseUnavailable, QueueUnavailable
from src.domain.job import JobState
from src.domain.video.video import VideoStatus
from tests.functional.crew import Crew, between, kill_tree
from tests.functional.fleet import Fleet
from tests.functional.places import AWS_KEYS, Place, place
from tests.functional.streams import incomplete, litter
from tests.functional.witness import Witness
from tests.servers.process import Server

ACTIONS = ("sleep", "use_scratch", "progress")
MAX_ATTEMPTS = 20
"""A fleet that loses every worker every few seconds needs more than the 5 of a quiet one: a killed worker is an attempt."""

VIDEO_ATTEMPTS = 50
"""A video takes most of such a life, and on a busy machine it is killed more often than not."""

TWICE = 10
"""Every so many short jobs are published twice."""

BATCH = 100
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A storm. Seconds everywhere; pairs are bounds between which dice decide."""

    short: int
    videos: int
    workers: int
    job_seconds: tuple[float, float]
    life: tuple[float, float]
    """of a worker, from its first receive"""
    fault_every: tuple[float, float]
    away: tuple[float, float]
    """how long a server stays down"""
    until: float
    """the storm goes on until this share of the jobs has ended, and until it has seen so many:"""
    kills: int
    faults: int
    most_faults: int = 1_000_000
    """after which servers are left alone"""
    last_blow: bool
    """whether at its end all servers and all workers are killed at the same time"""
    seed: int = 1
    patience: float = 120.0
    """after which a storm in which no job ends any more is broken"""

    @property
    def jobs(self) -> int:
        """Of both kinds."""
        return self.short + self.videos

    def without_faults(self) -> Plan:
        """On a place without servers."""
        return replace(self, faults=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a storm did and left."""

    jobs: int
    seconds: float
    storm_seconds: float
    drain_seconds: float
    """from the last fault to the last job's end and an empty queue"""
    kills: int
    life_seconds: float
    """of a worker on average, start-up included, while the storm went on"""
    start_seconds: float
    """from a worker's start to its first receive, on average"""
    refused: int
    """workers that ended by themselves, started while a server was away"""
    faults: Mapping[str, int]
    states: Mapping[str, int]
    videos_ready: int
    double: Mapping[str, int]
    """{what was made true more often than once: commits}"""
    without_effect: list[str]
    """ended SUCCEEDED, but no commit was seen under the fence that the row shows"""
    lost_attempts: int
    most_attempts: int
    begun: int
    finished: int
    """short jobs' handlers"""
    begun_twice: list[str]
    """(job, attempt) that two handlers began"""
    torn: list[str]
    """videos whose published stream is not whole, or not of one attempt"""
    litter: int
    """objects of attempts that did not win, which the sweep will take"""
    dead_letters: list[str]
    depth: tuple[int, int, int]
    odd_exits: list[int]
    left_running: list[str]
    scratch: list[str]


@contextmanager
def deployment(queue: str, folder: Path, **settings: str) -> Iterator[tuple[Fleet, Place]]:
    """Workers on servers of their own: PostgreSQL as database, except under the embedded queue."""
    database = "sqlite" if queue == "sqlite" else "postgres"
    before = {name: os.environ.get(name) for name in AWS_KEYS}
    with place(queue=queue, database=database, own=True) as made:
        # This process asks the queue as well, with the keys that AWS's own chain finds.
        os.environ.update(AWS_KEYS)
        own = {"WORKER_VIDEO__MAX_ATTEMPTS": str(VIDEO_ATTEMPTS), "PYTHONFAULTHANDLER": "1"}
        fleet = Fleet(folder, {**made.environ, **own, **settings})
        try:
            yield fleet, made
        finally:
            fleet.close()
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def power_cut(server: Server) -> None:
    """PostgreSQL's processes are groups of their own: all of them, not only the first one's group."""
    kill_tree(server.pid)
    server.kill()


def immediate_shutdown(server: Server) -> None:
    """`pg_ctl stop -m immediate`: no checkpoint, recovery at the next start."""
    server.stop_signal = signal.SIGQUIT
    server.stop()


def freeze(server: Server) -> None:
    """What a server can take that keeps its messages in memory: a kill would lose them, and that is the emulator's doing."""
    server.signal(signal.SIGSTOP)


def thaw(server: Server) -> None:
    """Goes on where it was."""
    server.signal(signal.SIGCONT)


DOWN: Mapping[str, tuple[Callable[[Server], None], ...]] = {
    "redis": (power_cut,),
    "postgres": (power_cut, immediate_shutdown),
    "sqs": (freeze,),
}


@dataclass
class Faults:
    """The servers of a place, one after the other: down, and up again a while later. Only the main thread may turn it: a
    server dies with the thread that started it."""

    servers: Mapping[str, Server]
    every: Callable[[], float]
    away: Callable[[], float]
    most: int
    counts: Counter[str] = field(default_factory=Counter)
    _at: float | None = None
    _back: dict[str, float] = field(default_factory=dict)

    def turn(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for kind, at in list(self._back.items()):
            if now >= at:
                self._up(kind)
        if self._at is None:
            self._at = now + self.every()
        elif now >= self._at and self.servers and not self._back and self.counts.total() < self.most:
            kinds = sorted(self.servers)
            self._down(kinds[self.counts.total() % len(kinds)])
            self._at = now + self.every()

    def all_down(self) -> None:
        """Every server at once."""
        for kind in set(self.servers) - set(self._back):
            self._down(kind)

    def all_up(self) -> None:
        """Nothing is broken any more."""
        for kind in list(self._back):
            self._up(kind)

    def _down(self, kind: str) -> None:
        ways = DOWN[kind]
        ways[self.counts[kind] % len(ways)](self.servers[kind])
        self.counts[kind] += 1
        self._back[kind] = time.monotonic() + self.away()

    def _up(self, kind: str) -> None:
        del self._back[kind]
        if DOWN[kind] == (freeze,):
            thaw(self.servers[kind])
        else:
            self.servers[kind].start()


def publish(fleet: Fleet, clip: Path, plan: Plan, dice: random.Random) -> None:
    """All jobs, in any order, by messages alone: what the queue loses nobody else knows of. Some of them twice."""
    messages = []
    for number in range(plan.videos):
        key = f"tenants/acme/video/raw/v{number}/source.mp4"
        fleet.adapters.storage().put_file(key, clip, content_type="video/mp4", cache_control="no-cache")
        body = {"job_id": f"video-{number}", "video_id": f"v{number}", "tenant_id": "acme", "file_key": key}
        messages.append(_message(f"video-{number}", body))
    for number in range(plan.short):
        name = f"short-{number}"
        payload = {
            "action": dice.choice(ACTIONS),
            "seconds": dice.uniform(*plan.job_seconds),
            "diary": str(fleet.diary),
        }
        asked = {"id": name, "type": "act", "tenant_id": "acme", "payload": payload, "max_retries": MAX_ATTEMPTS - 1}
        messages.append(_message(name, asked))
        if number % TWICE == 0:
            messages.append(_message(f"{name}-again", asked))
    dice.shuffle(messages)
    for start in range(0, len(messages), BATCH):
        fleet.adapters.queue_publisher().publish(messages[start : start + BATCH])


def _message(key: str, body: Mapping[str, Any]) -> Envelope:
    return Envelope(body=json.dumps(body).encode(), key=key)


def storm(fleet: Fleet, servers: Mapping[str, Server], clip: Path, plan: Plan) -> Account:
    """Publish, break, wait until nothing is left to do, and look."""
    dice = random.Random(plan.seed)  # the same storm for the same seed, as far as a machine can
    witness = Witness(fleet.settings.get("WORKER_DATABASE__URL") or fleet.folder / "mediaworker.db")
    fleet.folder.mkdir(parents=True, exist_ok=True)
    fleet.adapters.ledger().counts()
    witness.call()
    publish(fleet, clip, plan, dice)
    crew = Crew(fleet, plan.workers, between(dice, plan.life))
    faults = Faults(servers, between(dice, plan.fault_every), between(dice, plan.away), plan.most_faults)
    began = time.monotonic()
    crew.fill()
    look = Look(fleet)
    try:
        while not (
            look.ended() >= plan.until * plan.jobs and crew.kills >= plan.kills and faults.counts.total() >= plan.faults
        ):
            crew.turn()
            faults.turn()
            look.go_on(plan)
        kills, stormed = crew.kills, time.monotonic() - began
        last_fault = time.monotonic()
        if plan.last_blow:
            faults.all_down()
            crew.kill_all()
        faults.all_up()
        while not (look.ended() >= plan.jobs and look.empty()):
            crew.turn(killing=False)
            look.go_on(plan)
        drained = time.monotonic() - last_fault
    finally:
        faults.all_up()
    codes = crew.leave()
    return _account(
        fleet,
        plan,
        crew,
        witness,
        seconds=round(time.monotonic() - began, 1),
        storm_seconds=round(stormed, 1),
        drain_seconds=round(drained, 1),
        life_seconds=round(stormed * plan.workers / max(1, kills), 1),
        faults=dict(faults.counts),
        odd_exits=crew.odd_exits + [code for code in codes if code != 0],
    )


@dataclass
class Look:
    """How far the jobs are. Servers that are away are no news: then the last answer holds."""

    fleet: Fleet
    _ended: int = 0
    _next: float = 0.0
    _moved_at: float = field(default_factory=time.monotonic)

    def ended(self) -> int:
        """Jobs in a final state; asked now and then."""
        if time.monotonic() >= self._next:
            try:
                counts = self.fleet.adapters.ledger().counts()
            except DatabaseUnavailable:
                counts = {}
            ended = sum(count for (_type, state), count in counts.items() if state.is_terminal)
            self._next = time.monotonic() + LOOK_SECONDS
            if ended > self._ended:
                self._ended, self._moved_at = ended, self._next
        return self._ended

    def empty(self) -> bool:
        """Whether the queue holds nothing, hidden or not."""
        try:
            depth = self.fleet.adapters.queue_inspector().depth()
        except QueueUnavailable:
            return False
        return (depth.ready, depth.delayed, depth.in_flight) == (0, 0, 0)

    def go_on(self, plan: Plan) -> None:
        """A moment later. Raises AssertionError when the storm gets nowhere."""
        if time.monotonic() > self._moved_at + plan.patience:
            left = [f"{name} {state}" for name, state in self.fleet.states().items() if not state.is_terminal]
            raise AssertionError(f"{self._ended} of {plan.jobs} ended, then none; active: {len(left)}, {left[:10]}")
        time.sleep(0.05)


def _account(fleet: Fleet, plan: Plan, crew: Crew, witness: Witness, **known: Any) -> Account:
    ledger, rows = fleet.adapters.ledger(), {name: fleet.job(name) for name in fleet.states()}
    attempts = [attempt for name in rows for attempt in ledger.attempts(name)]
    commits = {table: witness.commits(table) for table in ("jobs", "videos")}
    starts = Counter((line[1], line[2]) for line in fleet.entries("start"))
    videos = [fleet.adapters.videos().find(f"v{number}") for number in range(plan.videos)]
    depth = fleet.adapters.queue_inspector().depth()
    paths = {video.id: video.hls_path for video in videos if video is not None}
    storage = fleet.adapters.storage()
    return Account(
        jobs=plan.jobs,
        kills=crew.kills,
        start_seconds=round(sum(crew.start_seconds) / max(1, len(crew.start_seconds)), 1),
        refused=crew.refused,
        states=dict(Counter(row.state.value for row in rows.values())),
        videos_ready=sum(video is not None and video.status is VideoStatus.READY for video in videos),
        double=_double(commits),
        without_effect=[name for name, row in rows.items() if (name, row.fence) not in commits["jobs"]],
        lost_attempts=sum(attempt.outcome == "LOST" for attempt in attempts),
        most_attempts=max((row.attempts for row in rows.values()), default=0),
        begun=starts.total(),
        finished=len(fleet.entries("end")),
        begun_twice=[f"{name} attempt {number}" for (name, number), count in starts.items() if count > 1],
        torn=[told for name, path in paths.items() if (told := incomplete(storage, "acme", name, path))],
        litter=sum(litter(storage, "acme", name, path) for name, path in paths.items()),
        dead_letters=[str(letter) for letter in fleet.adapters.dead_letters().list(DeadLetterFilter(limit=20))],
        depth=(depth.ready, depth.delayed, depth.in_flight),
        left_running=fleet.left_running(),
        scratch=fleet.scratch_folders(),
        **known,
    )


def _double(commits: Mapping[str, Mapping[tuple[str, int], int]]) -> dict[str, int]:
    times: Counter[str] = Counter()
    for table, seen in commits.items():
        for (name, _fence), count in seen.items():
            times[f"{table} {name}"] += count
    return {name: count for name, count in times.items() if count > 1}


def check(account: Account, plan: Plan) -> None:
    """0 lost, 0 double effects, nothing left; and it was a storm."""
    assert account.states == {JobState.SUCCEEDED.value: plan.jobs}, account
    assert account.videos_ready == plan.videos, account
    assert account.double == {}, account
    assert account.without_effect == [], account
    assert account.begun_twice == [], account
    assert account.torn == [], account
    assert account.dead_letters == [], account
    assert account.depth == (0, 0, 0), account
    assert account.odd_exits == [], account
    assert account.left_running == [], account
    assert account.scratch == [], account
    assert account.kills >= plan.kills, account
    assert sum(account.faults.values()) >= plan.faults, account
