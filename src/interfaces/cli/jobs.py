"""`mediaworker jobs`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from src.application.explain import explain as explained
from src.application.explain_road import BatchRoad, QueueRoad, Road
from src.application.operate import CancelJob, RetryJob
from src.application.ports.ledger import JobFilter
from src.application.ports.ops_events import EventFilter, OpsEvent
from src.application.ports.submissions import BatchSubmission
from src.application.video.request import JOB_TYPE
from src.application.video.source_there import SourceIsThere
from src.domain.errors import WorkerError
from src.domain.history import HANDED_BACK, Attempt
from src.domain.job import Job, JobState
from src.infrastructure.observability.redaction import one_line
from src.interfaces.cli.documents import event_document, iso, job_document, shown, status_document, submission_document
from src.interfaces.cli.errors import show_note
from src.interfaces.cli.events import print_events, print_submissions
from src.interfaces.cli.options import OFFSET
from src.interfaces.cli.output import json_option, print_json, print_value
from src.interfaces.cli.readings import Readings
from src.interfaces.cli.session import NoDatabase, Session, open_existing
from src.interfaces.cli.status import show as show_status
from src.interfaces.cli.table import Cell, age, moment, print_table, short_ids
from src.interfaces.wiring.dispatches import batch_types, make_enqueue_next
from src.interfaces.wiring.recoveries import patience

NO_JOBS = "No jobs."

EVENTS_SHOWN = 200
"""Of one job; `mediaworker events list --job` pages through more."""

STATES = [state.value for state in JobState]


@click.group()
def jobs() -> None:
    """List, show, cancel, retry and explain jobs. An ID may be shortened to its first 6 characters or more."""


@jobs.command("list")
@click.option("--state", type=click.Choice(STATES, case_sensitive=False), help="Only jobs in this state.")
@click.option("--type", "job_type", help="Only jobs of this type.")
@click.option("--tenant", help="Only jobs of this tenant.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option("--offset", default=0, type=OFFSET, help="Pass over so many.")
@json_option
def list_jobs(
    state: str | None, job_type: str | None, tenant: str | None, limit: int, offset: int, as_json: bool
) -> None:
    """Newest first."""
    criteria = JobFilter(
        state=JobState(state.upper()) if state else None, type=job_type, tenant=tenant, limit=limit, offset=offset
    )
    try:
        session = open_existing()
    except NoDatabase as error:
        show_note(error)
        print_json([]) if as_json else click.echo(NO_JOBS)
        return
    found = session.jobs.list(criteria)
    if as_json:
        readings = Readings(session)
        print_json([status_document(job, readings.of(job.id)) for job in found])
        return
    now = session.adapters.clock().now()
    rows = [
        (name, job.type, job.tenant, job.state, f"{job.attempts}/{job.max_attempts}", moment(job.created_at, now),
         _why(job))
        for name, job in zip(short_ids([job.id for job in found]), found, strict=True)
    ]  # fmt: skip
    print_table(("id", "type", "tenant", "state", "attempts", Cell("created", "age"), "error"), rows, empty=NO_JOBS)


@jobs.command("show")
@click.argument("job_id", metavar="ID")
@json_option
def show_job(job_id: str, as_json: bool) -> None:
    """Everything about one job, with its attempts.

    Also what was handed to AWS Batch for it, and its events."""
    session = open_existing(f"job {job_id[:80]!r}")
    job = session.job(job_id)
    history = list(session.jobs.attempts(job.id))
    batch_jobs, happened = _batch_road(session, job)
    document = job_document(job, Readings(session).of(job.id), history)
    document["submissions"] = [submission_document(each) for each in batch_jobs]
    document["events"] = [event_document(each) for each in happened]
    if as_json:
        print_json(document)
        return
    show_status(document)
    if document["result"] is not None:
        print_value("Result", shown(document["result"]))
    now = session.adapters.clock().now()
    rows = [
        (past.generation, past.number, moment(past.started_at, now), _ended(past), past.outcome,
         _attempts_error(past), past.owner)
        for past in history
    ]  # fmt: skip
    click.echo()
    columns = ("gen", "attempt", "started", Cell("ended", "took"), "outcome", "error", "worker")
    print_table(columns, rows, empty="No attempt yet.")
    if batch_jobs:
        click.echo()
        print_submissions(batch_jobs, now)
    if happened:
        click.echo()
        print_events(happened, now)


@jobs.command("cancel")
@click.argument("job_id", metavar="ID")
@json_option
def cancel_job(job_id: str, as_json: bool) -> None:
    """End a waiting job; stop a running one.

    A running job is stopped by its worker, within a few seconds."""
    session = open_existing(f"job {job_id[:80]!r}")
    job = CancelJob(session.ledger).cancel(session.job(job_id).id)
    if job.state is JobState.CANCELLED:
        _make_room(session, job)
    if as_json:
        print_json(status_document(job, Readings(session).of(job.id)))
    elif job.state is JobState.CANCELLED:
        click.echo(f"{job.id} is cancelled.")
    else:
        click.echo(f"{job.id} runs on {job.lease_owner}, which stops it within a few seconds.")


@jobs.command("retry")
@click.argument("job_id", metavar="ID")
@json_option
def retry_job(job_id: str, as_json: bool) -> None:
    """Start a waiting job now, or an ended job anew.

    A queued one is sent for by another message, in case its own was lost. An ended one gets a new generation, with all its
    attempts."""
    session = open_existing(f"job {job_id[:80]!r}")
    before = session.job(job_id)
    session.check_road(before)
    there = SourceIsThere(session.adapters.storage(), session.video)
    job = RetryJob(session.ledger, session.adapters.dispatch(), there).retry(before.id)
    if as_json:
        print_json(status_document(job, None))
    elif before.state is JobState.QUEUED:
        click.echo(f"{job.id} was queued already; it is sent for again, in case its message was lost.")
    elif job.generation == before.generation:
        click.echo(f"{job.id}: attempt {job.attempts + 1} of at most {job.max_attempts} is due now.")
    else:
        click.echo(f"{job.id} is queued again (generation {job.generation}).")


@jobs.command("explain")
@click.argument("job_id", metavar="ID")
@json_option
def explain_job(job_id: str, as_json: bool) -> None:
    """Say in words what happened to a job, and what happens next."""
    session = open_existing(f"job {job_id[:80]!r}")
    job = session.job(job_id)
    attempts, now = session.jobs.attempts(job.id), session.adapters.clock().now()
    lines = explained(job, attempts, now, _road(session, job), deleted_at=_deleted_at(session, job))
    if as_json:
        print_json({"id": job.id, "state": job.state.value, "explanation": lines})
    else:
        click.echo("\n".join(one_line(line) for line in lines))


def _road(session: Session, job: Job) -> Road:
    if job.type not in batch_types(session.settings):
        return QueueRoad()
    return BatchRoad(session.submissions.of_job(job.id), patience(session.settings))


def _deleted_at(session: Session, job: Job) -> float | None:
    """When the video of a video's job was deleted."""
    if job.type != JOB_TYPE or not session.has_batch_road:
        return None
    video = session.video(str(job.payload["video_id"]))
    return video.deleted_at if video is not None else None


def _make_room(session: Session, ended: Job) -> None:
    """A waiting job that ends makes room for the next video, as one that ran does."""
    following = make_enqueue_next(session.settings, session.adapters, session.catalog)
    if following is None or ended.type != following.submitter.job_type.name:
        return
    try:
        following.next_of(ended.tenant)
    except WorkerError as error:
        said = one_line(error.message)
        click.echo(f"mediaworker: the next video of this tenant could not be submitted: {said}", err=True)
        click.echo("  then: the next job that ends tries again, and so does enqueue-uploaded", err=True)


def _batch_road(session: Session, job: Job) -> tuple[Sequence[BatchSubmission], Sequence[OpsEvent]]:
    """Oldest first."""
    if not session.has_batch_road:
        return (), ()
    newest_first = session.events.list(EventFilter(job_id=job.id, limit=EVENTS_SHOWN))
    return session.submissions.of_job(job.id), newest_first[::-1]


def _ended(past: Attempt) -> Cell | None:
    return None if past.ended_at is None else Cell(iso(past.ended_at) or "", age(past.ended_at - past.started_at))


def _attempts_error(past: Attempt) -> str | None:
    if past.error is not None:
        return past.error.code
    return "not counted" if past.outcome == HANDED_BACK else None


def _why(job: Job) -> str:
    return job.error.code if job.error else ""
