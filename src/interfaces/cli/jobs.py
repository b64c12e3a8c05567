"""`mediaworker jobs`."""

from __future__ import annotations

import click

from src.application.explain import explain as explained
from src.application.operate import CancelJob, RetryJob
from src.application.ports.ledger import JobFilter
from src.domain.job import Job, JobState
from src.domain.progress import ProgressReport
from src.infrastructure.observability.redaction import one_line
from src.interfaces.cli.documents import iso, job_document, status_document
from src.interfaces.cli.options import OFFSET
from src.interfaces.cli.output import json_option, print_json, print_table
from src.interfaces.cli.session import Session, open_session
from src.interfaces.cli.status import show as show_status

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
    session = open_session()
    criteria = JobFilter(
        state=JobState(state.upper()) if state else None, type=job_type, tenant=tenant, limit=limit, offset=offset
    )
    found = session.jobs.list(criteria)
    if as_json:
        print_json([status_document(job, _reading(session, job)) for job in found])
        return
    rows = [
        (job.id, job.type, job.tenant, job.state, f"{job.attempts}/{job.max_attempts}", iso(job.created_at), _why(job))
        for job in found
    ]
    print_table(("id", "type", "tenant", "state", "attempts", "created", "error"), rows, empty="No jobs.")


@jobs.command("show")
@click.argument("job_id", metavar="ID")
@json_option
def show_job(job_id: str, as_json: bool) -> None:
    """Everything about one job, with its attempts."""
    session = open_session()
    job = session.job(job_id)
    history = list(session.jobs.attempts(job.id))
    document = job_document(job, session.progress.latest(job.id), history)
    if as_json:
        print_json(document)
        return
    show_status(document)
    rows = [
        (past["generation"], past["number"], past["owner"], past["started_at"], past["ended_at"], past["outcome"],
         past["error"] and past["error"]["class"])
        for past in document["history"]
    ]  # fmt: skip
    print_table(("gen", "attempt", "worker", "started", "ended", "outcome", "error"), rows, empty="No attempt yet.")


@jobs.command("cancel")
@click.argument("job_id", metavar="ID")
@json_option
def cancel_job(job_id: str, as_json: bool) -> None:
    """End a waiting job now; ask the worker of a running one to stop it."""
    session = open_session()
    job = CancelJob(session.ledger).cancel(session.job(job_id).id)
    if as_json:
        print_json(status_document(job, _reading(session, job)))
    elif job.state is JobState.CANCELLED:
        click.echo(f"{job.id} is cancelled.")
    else:
        click.echo(f"{job.id} runs on {job.lease_owner}, which stops it within a few seconds.")


@jobs.command("retry")
@click.argument("job_id", metavar="ID")
@json_option
def retry_job(job_id: str, as_json: bool) -> None:
    """Start a job now: a waiting retry at once, an ended job as a new generation with all its attempts."""
    session = open_session()
    before = session.job(job_id)
    job = RetryJob(session.ledger, session.adapters.queue_publisher()).retry(before.id)
    if as_json:
        print_json(status_document(job, None))
    elif job.generation == before.generation:
        click.echo(f"{job.id}: attempt {job.attempts + 1} of at most {job.max_attempts} is due now.")
    else:
        click.echo(f"{job.id} is queued again (generation {job.generation}).")


@jobs.command("explain")
@click.argument("job_id", metavar="ID")
@json_option
def explain_job(job_id: str, as_json: bool) -> None:
    """Say in words what happened to a job, and what happens next."""
    session = open_session()
    job = session.job(job_id)
    lines = explained(job, session.jobs.attempts(job.id), session.adapters.clock().now())
    if as_json:
        print_json({"id": job.id, "state": job.state.value, "explanation": lines})
    else:
        click.echo("\n".join(one_line(line) for line in lines))


def _reading(session: Session, job: Job) -> ProgressReport | None:
    return session.progress.latest(job.id)


def _why(job: Job) -> str:
    return job.error.code if job.error else ""
