"""mediaworker as a peer of the queue benchmark. BENCH_POOL picks the queue: redis, pg, sqs, sqlite.

The queue is fed as its users feed it: a JSON body per job through the publisher, with no ledger row yet. The worker is the
one that the documentation starts, with one process for jobs (WORKER_CONCURRENCY=1) unless BENCH_CONC says more.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import common

ROOT = Path(__file__).resolve().parents[2]
POOL = os.environ.get("BENCH_POOL", "redis")
BACKEND = {"sqlite": "none"}.get(POOL, POOL)


def folder() -> Path:
    """Beside the harness's records, so that it goes with them."""
    made = Path(os.environ["BENCH_LOG"]).parent / "mediaworker"
    made.mkdir(exist_ok=True)
    return made


def environment() -> dict[str, str]:
    """Settings of the worker and of the publisher."""
    settings = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), common.HERE]),
        "WORKER_DATA_DIR": str(folder()),
        "WORKER_JOBS__MODULES": "benchmarks.peers.jobs",
        "WORKER_QUEUE__NAME": "bench",
        "WORKER_CONCURRENCY": str(common.conc(1)),
        "WORKER_LEASE__TTL_SECONDS": str(common.LEASE if common.MODE == "safe" else 30),
    }
    database = common.PG.replace("postgresql://", "postgresql+psycopg://")
    per_queue = {
        "redis": {
            "WORKER_QUEUE__BACKEND": "redis",
            "WORKER_REDIS__URL": common.REDIS,
            "WORKER_LEDGER__BACKEND": "redis",
            "WORKER_LOCK__BACKEND": "redis",
            "WORKER_PROGRESS__BACKEND": "redis",
        },
        "redis-sqlite": {"WORKER_QUEUE__BACKEND": "redis", "WORKER_REDIS__URL": common.REDIS},
        "pg": {"WORKER_QUEUE__BACKEND": "postgres", "WORKER_DATABASE__URL": database},
        "sqs": {
            "WORKER_QUEUE__BACKEND": "sqs",
            "WORKER_AWS__ENDPOINT_URL": common.SQS,
            "WORKER_AWS__REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
        },
        "sqlite": {},
    }
    return settings | per_queue[POOL]


def message(kind: str, arg: object) -> tuple[str, bytes]:
    """(id, body) of a job."""
    name = uuid.uuid4().hex
    return name, json.dumps({"id": name, "type": kind, "payload": {"arg": arg}, "tenant_id": "bench"}).encode()


class P(common.Peer):  # type: ignore[misc]
    """See the module."""

    name, backend, conc = f"mediaworker-{POOL}", BACKEND.split("-")[0], 1
    n_hint = {"sqs": 8000, "sqlite": 20000}.get(POOL, 60000)

    def reset(self) -> None:
        if self.backend != "none":
            super().reset()

    def open(self) -> None:
        sys.path.insert(0, str(ROOT))
        for name in [name for name in os.environ if name.startswith("WORKER_")]:
            del os.environ[name]
        os.environ.update(environment())
        from src.interfaces.wiring.adapters import build
        from src.interfaces.wiring.assemble import build_catalog
        from src.interfaces.wiring.checks import check_backends
        from src.interfaces.wiring.environment import load

        if POOL == "sqs":
            import boto3

            made = boto3.client("sqs", endpoint_url=common.SQS, region_name="us-east-1")
            made.create_queue(QueueName="bench", Attributes={"MessageRetentionPeriod": "1209600"})
        settings = load(os.environ)
        if POOL == "pg":
            from src.infrastructure.db import schema

            schema.upgrade(environment()["WORKER_DATABASE__URL"])
        adapters = build(settings, build_catalog(settings))
        check_backends(settings, adapters)
        self.queue = adapters.queue_publisher()
        from src.application.ports.queue import Envelope

        self.envelope = Envelope

    def send(self, kind: str, arg: object) -> None:
        self.send_many(kind, [arg])

    def send_many(self, kind: str, args: list[object]) -> None:
        made = (message(kind, arg) for arg in args)
        self.queue.publish([self.envelope(body=body, key=name) for name, body in made])

    def workers(self, procs: int) -> list[list[str]]:
        return [[sys.executable, str(Path(__file__).resolve()), "_worker"]] * procs


def _cpu_of(groups: Iterable[int] = (), comms: Sequence[str] = ()) -> float:
    """As the harness's, which counts process groups: our jobs' processes have groups of their own, and belong to the worker's
    cost all the same."""
    seconds = float(_groups_cpu((), comms))
    for pid in common.descendants(list(groups)) if groups else ():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            seconds += sum(map(int, fields[11:15])) / common.HZ
    return seconds


_groups_cpu, common.cpu_of = common.cpu_of, _cpu_of

if __name__ == "__main__":
    if sys.argv[1:] == ["_worker"]:
        os.environ.update(environment())
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "src.interfaces.workers.video.main"])  # noqa: S606 - ourselves
    common.main(P())
