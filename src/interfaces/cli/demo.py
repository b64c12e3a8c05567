"""`mediaworker demo`: one command from nothing to a playing stream."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from src.domain.errors import ConfigError
from src.domain.job import Job, JobState
from src.interfaces.cli.demo_content import content_demo
from src.interfaces.cli.demo_page import PAGE_NAME, write_page
from src.interfaces.cli.demo_worker import LOG_NAME, STOP_SECONDS, end, environment, log_of
from src.interfaces.cli.documents import status_document
from src.interfaces.cli.errors import JOB_FAILED, OK
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.readings import Readings
from src.interfaces.cli.session import Session, open_session
from src.interfaces.cli.sources import job_of, submit_file
from src.interfaces.cli.status import show
from src.interfaces.cli.table import print_table
from src.interfaces.cli.watch import NEVER, follow
from src.interfaces.wiring.checks import check_startup

TENANT = "demo"


@dataclass(frozen=True, slots=True)
class Made:
    """What came out of one demo."""

    document: dict[str, Any]
    folder: Path
    seconds: float
    worker_exit: int


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--content", is_flag=True, help="Show the content worker instead: thumbnail, metadata, search, events.")
@json_option
def demo(file: Path | None, content: bool, as_json: bool) -> int:
    """Turn FILE (or a clip made on the spot) into an adaptive HLS stream, and show how to watch it.

    Needs no server: queue, database and storage are files in the data directory (WORKER_DATA_DIR).
    """
    session = open_session()
    _refuse_foreign(session)
    check_startup(session.settings, session.adapters, content=content)
    if content:
        return content_demo(session, file, as_json=as_json)
    video_id = f"demo-{uuid.uuid4().hex[:8]}"
    job = _submitted(session, file, video_id, as_json=as_json)
    began = time.monotonic()
    made = _work(session, job, began, quiet=as_json)
    if made.document["state"] != JobState.SUCCEEDED:
        return _failed(session, made, as_json=as_json)
    page = write_page(made.folder, made.document["result"]["hls_path"])
    if as_json:
        print_json(
            {**made.document, "wall_seconds": round(made.seconds, 2), "folder": str(made.folder), "page": str(page)}
        )
    else:
        _show(made)
    return OK


def _refuse_foreign(session: Session) -> None:
    """The demo runs a worker of its own: never on a queue or storage that others use."""
    settings = session.settings
    if settings.dispatch.backend != "queue":
        raise ConfigError(
            f"the demo runs a worker of the queue, and videos go by {settings.dispatch.backend}",
            fix="unset WORKER_DISPATCH__BACKEND",
        )
    if settings.queue.backend != "sqlite" or settings.storage.backend != "filesystem":
        raise ConfigError(
            f"the demo uses the embedded queue and storage, not {settings.queue.backend} and {settings.storage.backend}",
            fix="unset WORKER_QUEUE__BACKEND and WORKER_STORAGE__BACKEND",
        )


def _submitted(session: Session, file: Path | None, video_id: str, *, as_json: bool) -> Job:
    if file is not None:
        return job_of(submit_file(session, file, TENANT, video_id))
    from src.infrastructure.ffmpeg.demo_clip import HEIGHT, SECONDS, WIDTH, make_demo_clip

    if not as_json:
        click.echo(f"Making a clip of {SECONDS:.0f} s, {WIDTH}x{HEIGHT}, with sound ...", err=True)
    with tempfile.TemporaryDirectory(prefix="mediaworker-demo-") as folder:
        clip = Path(folder) / "demo.mp4"
        make_demo_clip(session.adapters.ffmpeg(), clip)
        return job_of(submit_file(session, clip, TENANT, video_id))


def _work(session: Session, job: Job, began: float, *, quiet: bool) -> Made:
    """Run a worker until the queue is empty, and watch it."""
    with log_of(session.settings).open("wb") as sink:
        worker = subprocess.Popen(
            [sys.executable, "-m", "src.interfaces.workers.video.main", "--drain"],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=environment(),
        )
        try:
            ended = follow(session, job.id, quiet=quiet, alive=lambda: worker.poll() is None, hint_seconds=NEVER)
            seconds = time.monotonic() - began
            code = worker.wait(STOP_SECONDS)
        finally:
            end(worker)
    document = status_document(ended, Readings(session).of(ended.id))
    return Made(document, session.settings.storage_root, seconds, code)


def _failed(session: Session, made: Made, *, as_json: bool) -> int:
    log = session.settings.data_dir / LOG_NAME
    if as_json:
        print_json({**made.document, "log": str(log), "worker_exit": made.worker_exit})
    else:
        show(made.document)
        if words := _of_worker(made):
            click.echo(f"\n{words}; its log is {log}.", err=True)
        click.echo(f"  next: mediaworker jobs explain {made.document['id']}", err=True)
    return JOB_FAILED


def _of_worker(made: Made) -> str:
    """What the worker has to do with the failure: nothing where the source is at fault."""
    if made.worker_exit:
        return f"The worker ended with exit code {made.worker_exit}"
    error = made.document["error"]
    if made.document["state"] in (JobState.FAILED, JobState.CANCELLED) and not (error and error["retryable"]):
        return ""
    return "The worker could not do it"


def _show(made: Made) -> None:
    result = made.document["result"]
    master = made.folder / result["hls_path"]
    rows = []
    for rendition in result["renditions"]:
        size = f"{rendition['width']}x{rendition['height']}" if rendition.get("width") else "sound"
        rows.append((rendition["name"], size, f"{rendition['bandwidth'] / 1000:.0f} kbit/s", rendition["codecs"]))
    click.echo()
    print_table(("rendition", "size", "peak", "codecs"), rows, empty="No renditions.")
    click.echo()
    duration = result["duration_seconds"]
    speed = f", {duration / made.seconds:.1f} times as fast as it plays" if made.seconds else ""
    files = [path for path in master.parent.rglob("*") if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    click.echo(f"{duration:.1f} s of video in {made.seconds:.1f} s{speed}; {len(files)} files, {total / 2**20:.1f} MiB")
    click.echo(f"Playlist   {master}")
    if result.get("thumbnail_path"):
        click.echo(f"Thumbnail  {made.folder / result['thumbnail_path']}")
    click.echo("\nWatch it:")
    click.echo(f"  {Path(sys.executable).name} -m http.server 8000 --bind 127.0.0.1 --directory {made.folder}")
    click.echo(f"  then open http://127.0.0.1:8000/{Path(result['hls_path']).parent}/{PAGE_NAME}")
    click.echo(f"  or: ffplay {master}")
    click.echo("\nNext:")
    for line in (
        f"mediaworker jobs explain {made.document['id']}",
        "mediaworker submit video FILE        # then, in another terminal:",
        "mediaworker run video",
    ):
        click.echo(f"  {line}")
