"""`mediaworker events`."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from src.application.ports.ops_events import EventFilter, EventType, OpsEvent, Severity
from src.application.ports.submissions import BatchSubmission
from src.domain.errors import ConfigError
from src.interfaces.cli.documents import event_document, shown
from src.interfaces.cli.errors import show_note
from src.interfaces.cli.options import OFFSET, Moment, since as since_when
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.session import NoDatabase, Session, open_existing
from src.interfaces.cli.table import moment, print_table
from src.interfaces.wiring.environment import variable

NO_EVENTS = "No events."


@click.group()
def events() -> None:
    """What happened that operators should know: dead jobs, limits in the way, AWS Batch out of step with the jobs."""


@events.command("list")
@click.option("--job", "job_id", metavar="ID", help="Only of this job; it need not be there any more.")
@click.option("--video", "video_id", metavar="ID", help="Only of this video.")
@click.option("--tenant", help="Only of this tenant.")
@click.option(
    "--type",
    "kind",
    type=click.Choice([each.value for each in EventType], case_sensitive=False),
    help="Only of this type.",
)
@click.option(
    "--severity",
    type=click.Choice([each.value for each in Severity], case_sensitive=False),
    help="Only of this severity or a worse one.",
)
@click.option(
    "--since", metavar="TIME", callback=since_when, help="Only from then on: 30m, 2h or 7d ago, or a time in ISO 8601."
)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option("--offset", default=0, type=OFFSET, help="Pass over so many.")
@json_option
def list_events(  # noqa: PLR0913, PLR0917 - one parameter per option
    job_id: str | None,
    video_id: str | None,
    tenant: str | None,
    kind: str | None,
    severity: str | None,
    since: Moment | None,
    limit: int,
    offset: int,
    as_json: bool,
) -> None:
    """Newest first."""
    try:
        session = open_existing("events")
    except NoDatabase as error:
        show_note(error)
        print_json([]) if as_json else click.echo(NO_EVENTS)
        return
    if not session.has_batch_road:
        raise ConfigError(
            f"the {session.settings.ledger.backend} ledger keeps no events",
            fix=f"`mediaworker dlq list` has the jobs that ended without success; events need {variable('ledger.backend')}=database",
        )
    now: float = session.adapters.clock().now()
    criteria = EventFilter(
        type=EventType(kind.upper()) if kind else None,
        severity=Severity(severity.upper()) if severity else None,
        tenant=tenant,
        video_id=video_id,
        job_id=_whole(session, job_id),
        since=since(now) if since else None,
        limit=limit,
        offset=offset,
    )
    found = session.events.list(criteria)
    if as_json:
        print_json([event_document(event) for event in found])
    else:
        print_events(found, now)


def _whole(session: Session, job_id: str | None) -> str | None:
    """The id that this is the beginning of, if such a job is there."""
    job = session.jobs.find(job_id) if job_id else None
    return job.id if job else job_id


def print_events(found: Sequence[OpsEvent], now: float) -> None:
    """One line each."""
    rows = [
        (moment(event.created_at, now), event.severity.value, event.type.value, event.tenant, event.video_id, event.job_id,
         event.aws_batch_job_id, json.dumps(shown(event.payload), ensure_ascii=False) if event.payload else "")
        for event in found
    ]  # fmt: skip
    columns = ("when", "severity", "event", "tenant", "video", "job", "batch job", "details")
    print_table(columns, rows, empty=NO_EVENTS)


def print_submissions(found: Sequence[BatchSubmission], now: float) -> None:
    """One line each."""
    rows = [
        (each.batch_id if each.answered else "", each.generation, each.attempt, moment(each.submitted_at, now),
         (each.state or "") if each.answered else "SUBMITTING", each.reason, moment(each.counted_at, now))
        for each in found
    ]  # fmt: skip
    columns = ("batch job", "gen", "attempt", "submitted", "state", "reason", "counted")
    print_table(columns, rows, empty="Nothing was handed to AWS Batch.")
