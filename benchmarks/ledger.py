"""What the ledger in Redis costs per short job: CPU time of the worker and of the server for its beginning and its success,
200 at a time. On a machine that does other things the best of the runs tells more than their middle."""

from __future__ import annotations

import time
from collections.abc import Sequence

import redis

from src.domain.job import JobDraft
from src.infrastructure.redis.ledger import RedisLedger
from tests.servers.kinds import start_redis

BATCH, BATCHES, RUNS = 200, 10, 40
PAYLOAD = {"content_id": "c-1", "source": "/media/a.jpg", "size": 320}
RESULT = {"thumbnail": "/media/a-320.webp", "bytes": 18_234}


def drafts(run: int) -> list[list[JobDraft]]:
    """The jobs of one run."""
    first = range(run * BATCHES, (run + 1) * BATCHES)
    return [
        [
            JobDraft(id=f"{batch:08d}-{n:04d}-4c5f-9d2e-0123456789ab", type="thumbnail", tenant="acme", payload=PAYLOAD)
            for n in range(BATCH)
        ]
        for batch in first
    ]


def main() -> None:
    """Print microseconds per job."""
    for title, durable in (("in memory", ()), ("appendonly, everysec", ("--appendonly", "yes"))):
        server = start_redis(options=durable)
        try:
            ledger = RedisLedger(server.url, "bench", keep_seconds=60)
            with redis.Redis.from_url(server.url) as asking:
                figures = [_run(ledger, asking, drafts(run)) for run in range(RUNS)][2:]
            ledger.close()
        finally:
            server.remove()
        for name, values in zip(("worker begin", "worker succeed", "server"), zip(*figures, strict=True), strict=True):
            _print(f"{title}: {name}", sorted(values))


def _run(ledger: RedisLedger, asking: redis.Redis, batches: Sequence[Sequence[JobDraft]]) -> tuple[float, float, float]:
    begins = succeeds = 0.0
    before = _server_cpu(asking)
    for some in batches:
        start = time.process_time()
        jobs = ledger.begin(some, owner="host:1", lease_seconds=30)
        begins += time.process_time() - start
        results = {job.id: (job.fence, RESULT) for job in jobs.values()}
        start = time.process_time()
        done = ledger.succeed(results)
        succeeds += time.process_time() - start
        if len(done) != BATCH:
            raise AssertionError("not all jobs succeeded")
    return begins, succeeds, _server_cpu(asking) - before


def _server_cpu(asking: redis.Redis) -> float:
    found = asking.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def _print(name: str, values: Sequence[float]) -> None:
    best, middle = (value / (BATCH * BATCHES) * 1e6 for value in (values[0], values[len(values) // 2]))
    print(f"{name:<40} best {best:5.1f} us/job, middle {middle:5.1f}", flush=True)
