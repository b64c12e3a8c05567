"""`mediaworker recover`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from src.application.video.recovery.owners import documents, markdown
from src.application.video.recovery.run import Run, SingleFlight
from src.application.video.recovery.schedule import DELETES
from src.infrastructure.observability.redaction import one_line
from src.interfaces.cli.errors import OK, UNEXPECTED, UNREACHABLE
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.session import open_existing
from src.interfaces.cli.table import print_table
from src.interfaces.wiring.recoveries import make_alarm, recovery_jobs

HELP: Mapping[str, str] = {
    "scan-stuck": "Jobs on AWS Batch that nobody does: send another container, or end them when their executions are used up.",
    "reconcile": "Ask AWS Batch how its jobs ended, and draw the conclusions once.",
    "enqueue-uploaded": "Submit UPLOADED videos that have no job.",
    "stuck-pending": "PENDING videos: uploaded without a word, or never uploaded.",
    "stuck-videos": "PROCESSING videos without an active job: back to UPLOADED.",
    "recover-dead": "Reopen jobs that died of circumstances, once each.",
    "purge-raw": "Remove sources that are needed no more.",
    "sweep-orphans": "Remove output that no video shows.",
    "abort-uploads": "End uploads in parts that nobody will finish.",
    "purge-events": "Remove operators' events that are older than they are kept.",
    "purge-jobs": "Remove rows of jobs that ended longer ago than they are kept.",
}


@click.group()
def recover() -> None:
    """Put right what is stuck, lost or left over. One run of each at a time: a second one says so, and exits 0.

    docs/recovery.md says who owns what. `mediaworker run recovery` runs all of them at their intervals.
    """


@recover.command()
@json_option
def owners(as_json: bool) -> None:
    """Print the table of owners: every state that is not an end, and who brings it on."""
    print_json(documents()) if as_json else click.echo(markdown(), nl=False)


def perform(name: str, *, dry_run: bool, limit: int | None, as_json: bool) -> int:
    """One run; the exit code."""
    session = open_existing("videos")
    jobs = recovery_jobs(session.settings, session.adapters, session.catalog)
    run = Run(name, dry_run=dry_run, limit=limit or session.settings.recovery.limit)
    SingleFlight(session.adapters.lock()).run(jobs[name](), run)
    if not dry_run:
        make_alarm(session.adapters).tick()
    print_json(run.report()) if as_json else _show(run)
    if not run.counts["error"]:
        return OK
    return UNREACHABLE if run.away else UNEXPECTED


def _show(run: Run) -> None:
    if run.refused:
        click.echo(f"{run.name}: {one_line(run.refused)}.")
        return
    rows = [(note.id, note.action, note.why) for note in run.notes]
    print_table(("what", "would be" if run.dry_run else "was", "why"), rows, empty="Nothing to do.")
    counts = ", ".join(f"{count} {action}" for action, count in sorted(run.counts.items()))
    click.echo(
        f"{run.name}: looked at {run.looked}{f': {counts}' if counts else ''}"
        f"{'; there may be more' if run.more else ''}{' (dry run: nothing was changed)' if run.dry_run else ''}."
    )


def _command(name: str, text: str) -> click.Command:
    def call(**given: Any) -> int:
        return perform(name, **given)

    decorated: Callable[..., Any] = json_option(call)
    decorated = click.option("--limit", type=click.IntRange(1, 100_000), help="Most things to do something to.")(
        decorated
    )
    if name in DELETES:
        dry = click.option(
            "--dry-run/--delete",
            "dry_run",
            default=True,
            show_default=True,
            help="Only say what would go, or remove it.",
        )
    else:
        dry = click.option("--dry-run", is_flag=True, help="Change nothing anywhere, and say what would be done.")
    return click.command(name, help=text)(dry(decorated))


for _name, _text in HELP.items():
    recover.add_command(_command(_name, _text))
