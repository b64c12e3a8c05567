"""One job on any choice of queue, database, storage and lock, and everything that may be compared between two of them."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from src.application.decoders import Decoders
from src.application.decoders.decoded import Requests
from src.application.ports.ledger import DeadLetterFilter
from src.domain.job import Job
from src.domain.video.video import VideoStatus
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.decoding import decoder_settings
from src.interfaces.wiring.environment import load
from tests.functional.fleet import Fleet
from tests.functional.places import AWS_KEYS, DATABASES, LOCKS, QUEUES, STORAGES, place
from tests.media import make


class Choice(NamedTuple):
    """Names of the settings."""

    queue: str
    database: str
    storage: str
    lock: str


EVERYTHING = tuple(Choice(*names) for names in itertools.product(QUEUES, DATABASES, STORAGES, LOCKS))
Pair = tuple[tuple[str, str], tuple[str, str]]


def pairs(choice: Choice) -> set[Pair]:
    """Which two choices occur together in it: {((port, name), (port, name))}."""
    return set(itertools.combinations(choice._asdict().items(), 2))


def singles(choice: Choice) -> set[tuple[str, str]]:
    """Each by itself: {(port, name)}."""
    return set(choice._asdict().items())


def covering(parts: Callable[[Choice], set[Any]], choices: Sequence[Choice] = EVERYTHING) -> list[Choice]:
    """Few of them, which have all parts that any has: each next one is the one that brings the most new parts."""
    missing = set().union(*map(parts, choices))
    chosen: list[Choice] = []
    while missing:
        best = max(choices, key=lambda choice: len(parts(choice) & missing))
        missing -= parts(best)
        chosen.append(best)
    return chosen


PASSING = {"created_at", "started_at", "finished_at", "due_at", "wake_at", "lease_owner", "lease_until"}
"""Facts about a row that are times, or name the process."""

MEASURED = {"encode_seconds", "cpu_seconds", "source_version"}
"""Facts about a stream that were measured, and the storage's own mark of the source (an ETag, an inode)."""


@dataclass(frozen=True, slots=True)
class Walked:
    """What one choice made of the job. PASSING and MEASURED aside, nothing of it may depend on the choice."""

    job: dict[str, Any]
    history: list[tuple[int, int, int, str | None, object]]
    """(generation, fence, number, outcome, error) of each execution"""
    video: tuple[str, str]
    """status, and the path that players are given"""
    ladder: list[tuple[str, int]]
    """(folder of a rendition, its number of segments)"""
    master: str
    output: dict[str, str]
    """{key: sha256} of every object that was made"""
    left: dict[str, object]
    """messages in the queue by their kind, dead letters, working folders, processes"""


def walk(choice: Choice, folder: Path) -> Walked:
    """A film in storage, a message in the new format, and one worker process that drains. Nothing but environment variables differs between two choices, with one exception: the `memory` queue lives and
    dies with the worker's process, so nobody can put a message on it from outside. There the row is admitted (the draft is
    what the same message decodes to), and the worker's own waker finds it, as it finds every job whose message was lost."""
    with place(**choice._asdict()) as made, pytest.MonkeyPatch.context() as environment:
        for name, value in AWS_KEYS.items():
            environment.setenv(name, value)
        fleet = Fleet(folder, {**made.environ, "WORKER_LEASE__SCAN_SECONDS": "0.2"})
        try:
            return _walk(choice, fleet)
        finally:
            fleet.close()


def _walk(choice: Choice, fleet: Fleet) -> Walked:
    source, key = make("short_clip"), "tenants/acme/video/raw/v1/short.mp4"
    storage = fleet.adapters.storage()
    storage.put_file(key, source, content_type="video/mp4", cache_control="no-cache")
    asked = {"job_id": "job-1", "video_id": "v1", "tenant_id": "acme", "file_key": key}
    body = json.dumps(asked).encode()
    if choice.queue == "memory":
        settings = load(fleet.environ())
        decoded = Decoders(build_catalog(settings), decoder_settings(settings)).decode(body, {})
        assert isinstance(decoded, Requests)
        fleet.adapters.ledger().admit(decoded.drafts[0])
    else:
        fleet.publish(body)
    assert fleet.drain() == 0, fleet.story()
    video = fleet.adapters.videos().get("v1")
    assert video.status is VideoStatus.READY, fleet.story()
    stored = {found.key: found.size for found in storage.list("tenants/acme/video/hls/")}
    read = {name: storage.read(name, 0, size) for name, size in stored.items()}
    return Walked(
        job=_lasting(fleet.job("job-1")),
        history=[
            (attempt.generation, attempt.fence, attempt.number, attempt.outcome, attempt.error)
            for attempt in fleet.adapters.ledger().attempts("job-1")
        ],
        video=(video.status.value, video.hls_path),
        ladder=_ladder(read),
        master=read[video.hls_path].decode(),
        output={name: hashlib.sha256(content).hexdigest() for name, content in read.items()},
        left={
            "messages": fleet.adapters.queue_inspector().depth(),
            "letters": list(fleet.adapters.dead_letters().list(DeadLetterFilter())),
            "folders": fleet.scratch_folders(),
            "processes": fleet.left_running(),
        },
    )


def _lasting(job: Job) -> dict[str, Any]:
    result = dict(job.result or {})
    result["metadata"] = {name: fact for name, fact in result["metadata"].items() if name not in MEASURED}
    return {**{name: getattr(job, name) for name in Job.__dataclass_fields__ if name not in PASSING}, "result": result}


def _ladder(names: Iterable[str]) -> list[tuple[str, int]]:
    segments = [Path(name).parent.name for name in names if name.endswith((".m4s", ".ts"))]
    return [(folder, len(list(group))) for folder, group in itertools.groupby(sorted(segments))]
