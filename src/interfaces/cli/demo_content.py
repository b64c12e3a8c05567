"""`mediaworker demo --content`: an event in; a thumbnail, metadata and a search hit out. Embedded, no services."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from src.application.decoders.registry import Decoders
from src.application.ports.content import Contents
from src.application.ports.queue import Envelope
from src.application.ports.search import Query, SearchIndex
from src.domain.errors import FileAccessError
from src.domain.job import Job, JobState
from src.interfaces.cli.demo_worker import LOG_NAME, STOP_SECONDS, end, environment, log_of
from src.interfaces.cli.errors import JOB_FAILED, OK
from src.interfaces.cli.output import print_json
from src.interfaces.cli.session import Session
from src.interfaces.wiring.decoding import decoder_settings

TENANT = "demo"
SECONDS = 6.0
RECORD = {
    "title": "데모 — a demo film",
    "description": "Drawn by the demo: a fractal and a beep. 프랙탈과 신호음.",
    "event_type": "demo",
    "brand": "mediaworker",
    "quality": "HD",
}
QUESTIONS = ("데모", "fractal", "fractel")
"""In Korean, in English, and with a slip."""

WAITING = (JobState.QUEUED, JobState.RUNNING, JobState.RETRY_WAIT)


@dataclass(frozen=True, slots=True)
class _Made:
    jobs: Sequence[Job]
    events: Sequence[Mapping[str, Any]]
    hits: Mapping[str, Sequence[str]]
    seconds: float
    worker_exit: int


def content_demo(session: Session, file: Path | None, *, as_json: bool) -> int:
    """Say that there is a new film, as the content platform does; the exit code."""
    content_id = f"demo-{uuid.uuid4().hex[:8]}"
    _film(session, file, content_id, quiet=as_json)
    bodies = [_event(content_id, kind) for kind in ("content.created", "content.updated")]
    decoders = Decoders(session.catalog, decoder_settings(session.settings))
    wanted = [draft.id for body in bodies for draft in decoders.decode(body, {}).drafts]  # type: ignore[union-attr]
    publisher = session.adapters.queue_publisher()
    publisher.publish([Envelope(body=body, key=f"{content_id}-{number}") for number, body in enumerate(bodies)])
    if not as_json:
        for body in bodies:
            click.echo(f"in   {json.loads(body)['type']}  {json.loads(body)['data']}")
    made = _work(session, wanted)
    failed = [job for job in made.jobs if job.state is not JobState.SUCCEEDED]
    found = all(content_id in ids for ids in made.hits.values())
    if as_json:
        print_json(_document(content_id, made, session))
    else:
        _show(content_id, made, session)
    return OK if found and not failed and made.worker_exit == 0 else JOB_FAILED


def _film(session: Session, file: Path | None, content_id: str, *, quiet: bool) -> None:
    """A film in storage, and its record."""
    contents: Contents = session.adapters.contents()
    with tempfile.TemporaryDirectory(prefix="mediaworker-demo-") as folder:
        source = file
        if source is None:
            from src.infrastructure.ffmpeg.demo_clip import make_demo_clip

            if not quiet:
                click.echo(f"Making a clip of {SECONDS:.0f} s ...", err=True)
            source = Path(folder) / "demo.mp4"
            make_demo_clip(session.adapters.ffmpeg(), source, seconds=SECONDS)
        if not source.is_file():
            raise FileAccessError(f"no file {source}")
        key = f"tenants/{TENANT}/content/{content_id}{source.suffix or '.mp4'}"
        session.adapters.storage().put_file(key, source, content_type="video/mp4", cache_control="no-cache")
    contents.update_metadata(content_id, {**RECORD, "year": time.gmtime().tm_year, "file_path": key})


def _event(content_id: str, kind: str) -> bytes:
    """As the platform would put it on the queue: CloudEvents."""
    event = {
        "specversion": "1.0",
        "id": uuid.uuid4().hex,
        "source": "/content",
        "type": kind,
        "tenantid": TENANT,
        "data": {"content_id": content_id},
    }
    return json.dumps(event).encode()


def _work(session: Session, wanted: Sequence[str]) -> _Made:
    began = time.monotonic()
    log = log_of(session.settings)
    with log.open("wb") as sink:
        worker = subprocess.Popen(
            [sys.executable, "-m", "src.interfaces.workers.content.main", "--drain"],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            # What other systems would be told is read from the log.
            env={**environment(), "WORKER_EVENTS__SINKS": "log"},
        )
        try:
            while worker.poll() is None and _unended(session, wanted):
                time.sleep(0.1)
            seconds = time.monotonic() - began
            code = worker.wait(STOP_SECONDS)
        finally:
            end(worker)
    index: SearchIndex = session.adapters.search()
    hits = {question: [str(hit["id"]) for hit in index.search(Query(text=question))] for question in QUESTIONS}
    return _Made([session.job(name) for name in wanted], _told(log), hits, seconds, code)


def _unended(session: Session, wanted: Sequence[str]) -> bool:
    found = [session.jobs.find(name) for name in wanted]
    return any(job is None or job.state in WAITING for job in found)


def _told(log: Path) -> list[Mapping[str, Any]]:
    lines = [json.loads(line) for line in log.read_text(errors="replace").splitlines() if line.startswith("{")]
    return [
        {"type": line["event"], "id": line["event_id"], "data": _opened(line["data"])}
        for line in lines
        if line.get("logger") == "mediaworker.events"
    ]


def _opened(value: Any) -> Any:
    """The log writes what is nested as text."""
    if isinstance(value, str) and value.startswith("{"):
        return _opened(json.loads(value))
    return {name: _opened(kept) for name, kept in value.items()} if isinstance(value, dict) else value


def _document(content_id: str, made: _Made, session: Session) -> dict[str, Any]:
    return {
        "content_id": content_id,
        "jobs": {
            job.type: {
                "id": job.id,
                "state": job.state.value,
                "result": job.result,
                "error": job.error.message if job.error else None,
            }
            for job in made.jobs
        },
        "record": dict(session.adapters.contents().get(content_id)),
        "events": list(made.events),
        "search": {question: list(ids) for question, ids in made.hits.items()},
        "wall_seconds": round(made.seconds, 2),
        "worker_exit": made.worker_exit,
        "log": str(session.settings.data_dir / LOG_NAME),
    }


def _show(content_id: str, made: _Made, session: Session) -> None:
    for job in made.jobs:
        click.echo(f"job  {job.type:<10} {job.state.value}" + (f"  {job.error.message}" if job.error else ""))
    for told in made.events:
        click.echo(f"out  {told['type']}  {json.dumps(told['data'], ensure_ascii=False)}")
    for question, ids in made.hits.items():
        click.echo(f"find {question!r}: {'found' if content_id in ids else 'NOT found'}, {len(ids)} in all")
    click.echo(f"\n{made.seconds:.1f} s; the worker's log is {session.settings.data_dir / LOG_NAME}")
    if made.worker_exit:
        click.echo(f"The worker ended with exit code {made.worker_exit}", err=True)
    click.echo("\nNext:")
    for line in ("mediaworker search 데모", "mediaworker cron list", "mediaworker run content"):
        click.echo(f"  {line}")
