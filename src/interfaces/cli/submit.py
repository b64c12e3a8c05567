"""`mediaworker submit`."""

from __future__ import annotations

import click

from src.application.video.request import JOB_TYPE
from src.application.video.submit import Submission
from src.domain.job import Job, JobState
from src.infrastructure.observability.redaction import redacted
from src.interfaces.cli.documents import Document, status_document
from src.interfaces.cli.errors import INTERRUPTED, JOB_FAILED, OK, WAIT_TIMED_OUT
from src.interfaces.cli.options import Finite
from src.interfaces.cli.output import json_option, print_json, reader_may_leave
from src.interfaces.cli.readings import Readings
from src.interfaces.cli.session import Session, open_session
from src.interfaces.cli.sources import job_of, submit_source
from src.interfaces.cli.status import show
from src.interfaces.cli.watch import TimedOut, follow


@click.group()
def submit() -> None:
    """Ask for a job."""


@submit.command()
@click.argument("source", metavar="FILE|KEY|s3://BUCKET/KEY")
@click.option("--tenant", default="default", show_default=True, help="Whose video it is.")
@click.option("--video-id", help="The video's id. Default: a new one.")
@click.option(
    "--wait", is_flag=True, help="Follow the job until it ends: exit 0 when it succeeded, 5 when not, 6 when late."
)
@click.option("--timeout", type=Finite(min=0), help="Seconds to wait at most.")
@json_option
def video(source: str, tenant: str, video_id: str | None, wait: bool, timeout: float | None, as_json: bool) -> int:
    """Turn a video into HLS. A local FILE is copied into the storage first; a KEY names an object that is there.

    Prints the job's id.
    """
    session = open_session(JOB_TYPE)
    submission = submit_source(session, source, tenant, video_id)
    job = job_of(submission)
    if not wait:
        print_json(submission_document(submission)) if as_json else click.echo(job.id)
        return OK
    if not as_json:
        click.echo(job.id)
    return wait_for(session, job, timeout, as_json=as_json)


def submission_document(submission: Submission) -> Document:
    """The job's status, with why nothing may be on its way to it: `rejected` is `submit_failed` then, else null."""
    failed = submission.error
    return {
        **status_document(job_of(submission), None),
        "rejected": submission.rejected,
        "submit_error": failed and {"class": failed.code, "message": redacted(failed.message), "fix": failed.fix},
    }


def wait_for(session: Session, job: Job, timeout: float | None, *, as_json: bool) -> int:
    """Follow the job; the exit code says how it ended."""
    try:
        job = follow(session, job.id, quiet=as_json, timeout_seconds=timeout)
    except TimedOut:
        click.echo(f"mediaworker: job {job.id} has not ended after {timeout:g} s; it goes on", err=True)
        click.echo(f"  fix: `mediaworker status {job.id} --watch` follows it", err=True)
        code = WAIT_TIMED_OUT
    except KeyboardInterrupt:
        click.echo(f"\nThe job goes on: `mediaworker status {job.id} --watch` follows it.", err=True)
        return INTERRUPTED
    else:
        code = OK if job.state is JobState.SUCCEEDED else JOB_FAILED
    document = status_document(session.job(job.id), Readings(session).of(job.id))
    with reader_may_leave():
        print_json(document) if as_json else show(document)
    return code
