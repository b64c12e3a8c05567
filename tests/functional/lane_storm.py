"""A storm on the content platform's three lists: short jobs by plain RPUSH, workers that are killed, a Redis that is restarted.

A worker that is killed is followed at once by one that has its program loaded (`Fleet.fork`): else the starts of Python alone
would be half of what two cores can do, and half of each worker's life. Everything is in Redis, the ledger too. Each job's effect
is its success in the ledger: the attempts say how often one was committed, and the handlers' own diary how often work was begun.
"""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from src.application.ports.queue import QueueDepth
from src.domain.job import JobState
from tests.adapters.redis_servers import client, own_server
from tests.functional.fleet import Fleet, kill, wait_for
from tests.servers.process import Server

LANES = ("worker:high", "worker:normal", "worker:low")
TTL, SCAN = 5.0, 1.0
IN_HAND_SECONDS = 0.1
"""A portion of no-op jobs is done soon after: a kill that comes later finds nothing in anybody's hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Seconds everywhere."""

    jobs: int
    kill_every: float
    restarts: int
    workers: int = 2
    job_seconds: float = 0.0
    portion: int
    """jobs pushed at once: the first at the beginning, the others one before each kill"""
    seed: int = 1
    patience: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What the storm did and left."""

    seconds: float
    kills: int
    restarts: int
    states: Mapping[str, int]
    lost: int
    """jobs that are not SUCCEEDED"""
    double: Sequence[str]
    """jobs of which two attempts SUCCEEDED"""
    orphans: int
    """attempts that a kill ended"""
    late: Sequence[float]
    """seconds from that kill to the next attempt's beginning, sorted; of those while Redis was there"""
    late_by_outage: Sequence[float]
    """the same of those between which Redis was away: leases are then left alone for a while (docs/guarantees.md)"""
    left: Sequence[str]
    """keys of the lists, when all is done"""

    def late_at(self, share: float) -> float:
        """A quantile."""
        return self.late[min(len(self.late) - 1, int(len(self.late) * share))] if self.late else 0.0


def storm(folder: Path, plan: Plan) -> Account:
    """Push, kill, restart, until every job has ended."""
    with own_server("--appendonly", "yes", durable=True) as server:
        fleet = Fleet(
            folder,
            {
                "WORKER_REDIS__URL": server.url,
                "WORKER_QUEUE__BACKEND": "redis",
                "WORKER_QUEUE__LANES": ",".join(LANES),
                "WORKER_LEDGER__BACKEND": "redis",
                "WORKER_LOCK__BACKEND": "redis",
                "WORKER_PROGRESS__BACKEND": "redis",
                "WORKER_LEASE__TTL_SECONDS": str(TTL),
                "WORKER_LEASE__SCAN_SECONDS": str(SCAN),
            },
        )
        try:
            return _storm(fleet, server, plan)
        finally:
            fleet.close()


def _storm(fleet: Fleet, server: Server, plan: Plan) -> Account:
    names = [f"job-{number:05}" for number in range(plan.jobs)]
    dice = random.Random(plan.seed)
    began = time.time()
    running = [fleet.start() for _ in range(plan.workers)]
    batches = [names[start : start + plan.portion] for start in range(0, len(names), plan.portion)]
    _push(server, batches.pop(0), plan)
    killed_at: list[float] = []
    outages: list[tuple[float, float]] = []
    restarts, next_kill = 0, time.monotonic() + plan.kill_every
    while (left := _unfinished(server, plan.jobs)) or batches or restarts < plan.restarts:
        assert time.time() - began < plan.patience, f"{left} jobs did not end"
        if time.monotonic() >= next_kill:
            next_kill = time.monotonic() + plan.kill_every
            if batches:
                _push(server, batches.pop(0), plan)
                time.sleep(dice.uniform(0, IN_HAND_SECONDS))
            victim = len(killed_at) % plan.workers
            killed_at.append(time.time())
            kill(running[victim])
            running[victim] = fleet.start()
        if restarts < plan.restarts and left <= plan.jobs * (plan.restarts - restarts) // (plan.restarts + 1):
            away = time.time()
            server.kill()
            time.sleep(0.5)
            server.start()
            outages.append((away, time.time()))
            restarts += 1
        time.sleep(0.1)
    inspector = fleet.adapters.queue_inspector()
    # Messages that a killed worker held come once more before they are known to be done.
    wait_for(
        lambda: inspector.depth() == QueueDepth(ready=0, delayed=0, in_flight=0), 60, "every message is acknowledged"
    )
    for worker in running:
        worker.send_signal(signal.SIGTERM)
    # One that was started a moment ago does not listen to signals yet.
    assert {worker.wait(60) for worker in running} <= {0, -signal.SIGTERM}
    ended = time.time()
    states = fleet.states()
    ledger = fleet.adapters.ledger()
    double, late, by_outage = [], list[float](), list[float]()
    for name in names:
        attempts = ledger.attempts(name)
        if sum(attempt.outcome == "SUCCEEDED" for attempt in attempts) > 1:
            double.append(name)
        for before, after in pairwise(attempts):
            deaths = [at for at in killed_at if before.started_at <= at <= after.started_at]
            if deaths:
                met = any(gone <= after.started_at and back + TTL >= deaths[0] for gone, back in outages)
                (by_outage if met else late).append(after.started_at - deaths[0])
    with client(server.url) as asking:
        left_keys = sorted(key.decode() for key in asking.scan_iter("*worker:*") if b"selftest" not in key)
    return Account(
        seconds=ended - began,
        kills=len(killed_at),
        restarts=restarts,
        states=Counter(state.value for state in states.values()),
        lost=plan.jobs - sum(states.get(name) is JobState.SUCCEEDED for name in names),
        double=double,
        orphans=len(late) + len(by_outage),
        late=sorted(late),
        late_by_outage=sorted(by_outage),
        left=left_keys,
    )


def _push(server: Server, names: Sequence[str], plan: Plan) -> None:
    payload = {"action": "sleep" if plan.job_seconds else "noop", "seconds": plan.job_seconds}
    with client(server.url) as producer:
        for number, lane in enumerate(LANES):
            producer.rpush(lane, *(_body(name, payload) for name in names[number :: len(LANES)]))


def _body(name: str, payload: Mapping[str, Any]) -> str:
    return json.dumps({"id": name, "type": "quick", "payload": payload, "created_at": "2026-01-01T00:00:00Z"})


def _unfinished(server: Server, jobs: int) -> int:
    """By the ledger's own count; all of them while Redis can't say."""
    try:
        with client(server.url) as asking:
            done = asking.zcard("{ledger}:SUCCEEDED:quick")
            dead = asking.zcard("{ledger}:DEAD:quick") + asking.zcard("{ledger}:FAILED:quick")
    except RedisError:
        return jobs
    return jobs - int(done) - int(dead)
