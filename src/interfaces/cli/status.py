"""`mediaworker status`."""

from __future__ import annotations

import click

from src.interfaces.cli.documents import Document, status_document
from src.interfaces.cli.output import json_option, print_fields, print_json
from src.interfaces.cli.readings import Readings
from src.interfaces.cli.session import Session, open_existing
from src.interfaces.cli.watch import follow


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("--watch", is_flag=True, help="Follow the job until it ends.")
@json_option
def status(job_id: str, watch: bool, as_json: bool) -> int:
    """Show where the job ID (or the only one whose id begins so) stands."""
    session = open_existing(f"job {job_id[:80]!r}")
    job = session.job(job_id)
    if watch:
        follow(session, job.id, as_json=as_json)
        if not as_json:
            show(read(session, job.id))
    elif as_json:
        print_json(read(session, job.id))
    else:
        show(read(session, job.id))
    return 0


def read(session: Session, job_id: str) -> Document:
    """The status document of a job now."""
    job = session.job(job_id)
    return status_document(job, Readings(session).of(job.id))


def show(document: Document) -> None:
    """For people."""
    progress, error = document["progress"], document["error"]
    running, shown = document["state"] == "RUNNING", "unknown: its backend did not answer"
    if progress is not None:
        step = f" {progress['step']} ({progress['step_index']} of {progress['step_total']})" if progress["step"] else ""
        shown = f"{progress['percent']:.0f} %{step if running else ''}"
    fields: list[tuple[str, object]] = [
        ("Job", document["id"]),
        ("Type", f"{document['type']}, tenant {document['tenant']}"),
        ("State", document["state"] + (" (cancellation asked for)" if document["cancel_requested"] else "")),
        ("Attempts", f"{document['attempts']} of at most {document['max_attempts']}"),
        ("Progress", shown),
        ("Created", document["created_at"]),
        ("Finished", document["finished_at"]),
        ("Due", document["due_at"] if document["state"] == "RETRY_WAIT" else None),
        ("Error", f"{error['class']}: {error['message']}" if error else None),
    ]
    result = document["result"] or {}
    fields += [("Playlist", result.get("hls_path")), ("Thumbnail", result.get("thumbnail_path"))]
    print_fields(fields)
