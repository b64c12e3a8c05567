"""`mediaworker dlq`."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import click

from src.application.operate import PurgeDeadLetters, Requeued, RequeueDeadLetters
from src.application.ports.ledger import DeadLetter, DeadLetterFilter
from src.application.video.source_there import SourceIsThere
from src.domain.errors import (
    Conflict,
    FileAccessError,
    InvalidMessage,
    InvalidPayload,
    JobNotFound,
    NotFound,
    TenantMismatch,
    UnknownJobType,
)
from src.infrastructure.observability.redaction import one_line, redacted
from src.interfaces.cli.documents import letter_document
from src.interfaces.cli.errors import OK, USAGE, show_note
from src.interfaces.cli.options import OFFSET, Finite
from src.interfaces.cli.output import json_option, print_fields, print_json
from src.interfaces.cli.session import NoDatabase, Session, open_existing, open_session
from src.interfaces.cli.table import Cell, moment, print_table, short_ids
from src.interfaces.wiring.queues import LaterPublisher

NO_LETTERS = "No dead letters."
SUGGESTED = 3
"""Letters of a job that are named to whoever asked by the job's id."""

BODY_FAULTS = {each.code for each in (InvalidMessage, InvalidPayload, UnknownJobType, TenantMismatch, JobNotFound)}


@click.group()
def dlq() -> None:
    """Dead letters: jobs that ended without success, and messages that could not become jobs."""


def selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which letters: ids, or a group, or all."""
    for decorate in (
        click.argument("ids", metavar="[ID]...", nargs=-1),
        click.option("--group", help="All letters with this error class."),
        click.option("--type", "job_type", help="Only letters of this job type."),
        click.option("--tenant", help="Only letters of this tenant."),
        click.option("--all", "everything", is_flag=True, help="All letters (that match the other options)."),
        click.option("--dry-run", is_flag=True, help="Only say what would happen."),
    ):
        command = decorate(command)
    return command


@dlq.command("list")
@click.option("--group", help="Only letters with this error class.")
@click.option("--type", "job_type", help="Only letters of this job type.")
@click.option("--tenant", help="Only letters of this tenant.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option("--offset", default=0, type=OFFSET, help="Pass over so many.")
@json_option
def list_letters(
    group: str | None, job_type: str | None, tenant: str | None, limit: int, offset: int, as_json: bool
) -> None:
    """Newest first."""
    criteria = DeadLetterFilter(group=group, type=job_type, tenant=tenant, limit=limit, offset=offset)
    try:
        session = open_existing("dead letters")
    except NoDatabase as error:
        show_note(error)
        print_json([]) if as_json else click.echo(NO_LETTERS)
        return
    found = session.dead_letters.list(criteria)
    if as_json:
        print_json([letter_document(letter) for letter in found])
        return
    now = session.adapters.clock().now()
    rows = [
        (name, letter.type or "?", letter.tenant, letter.error.code, moment(letter.created_at, now),
         redacted(letter.error.message))
        for name, letter in zip(short_ids([letter.id for letter in found]), found, strict=True)
    ]  # fmt: skip
    print_table(("id", "type", "tenant", "error", Cell("since", "age"), "message"), rows, empty=NO_LETTERS)


@dlq.command("show")
@click.argument("letter_id", metavar="ID")
@json_option
def show_letter(letter_id: str, as_json: bool) -> None:
    """One letter with its body, error and traceback."""
    document = letter_document(_letter(open_existing(f"dead letter {letter_id[:80]!r}"), letter_id), whole=True)
    if as_json:
        print_json(document)
        return
    error = document.pop("error")
    body = json.dumps(document.pop("body"), ensure_ascii=False)
    print_fields([*document.items(), ("error", f"{error['class']}: {error['message']}"), ("body", body)])
    # Where the body is at fault, our own lines say nothing; --json has them.
    if error["traceback"] and error["class"] not in BODY_FAULTS:
        click.echo("\n" + "\n".join(one_line(line) for line in error["traceback"].splitlines()))


@dlq.command()
@selection
@click.option("--rate", type=Finite(min=0.001), help="At most so many per second.")
@json_option
def requeue(
    ids: Sequence[str],
    group: str | None,
    job_type: str | None,
    tenant: str | None,
    everything: bool,
    dry_run: bool,
    rate: float | None,
    as_json: bool,
) -> int:
    """Give letters another chance.

    Their jobs get a new generation, their messages go back to the queue.

    Exits 2 when a letter that was named by its ID could not be requeued.
    """
    session = open_session()
    criteria = _criteria(session, ids, group, job_type, tenant, everything=everything)
    use_case = RequeueDeadLetters(
        session.ledger,
        session.dead_letters,
        LaterPublisher(session.adapters.queue_publisher),
        session.adapters.dispatch(),
        session.adapters.clock(),
        SourceIsThere(session.adapters.storage(), session.video),
    )
    answers = []
    for answer in use_case.requeue(criteria, dry_run=dry_run, per_second=rate):
        answers.append(answer)
        if not as_json:
            click.echo(f"{answer.letter.id}: {_would(answer.letter) if dry_run else _did(answer)}")
    done = sum(answer.done for answer in answers)
    if as_json:
        letters = [{"id": each.letter.id, "requeued": each.done, "reason": each.reason or None} for each in answers]
        print_json({"requeued": done, "matched": len(answers), "dry_run": dry_run, "letters": letters})
    else:
        click.echo(
            f"{len(answers)} would be requeued; nothing was changed."
            if dry_run
            else f"{done} of {len(answers)} requeued."
        )
    # A group is what matched; a letter that was named is what was wanted.
    return USAGE if ids and not dry_run and done < len(answers) else OK


@dlq.command()
@selection
@click.option(
    "--backup", type=click.Path(path_type=Path, dir_okay=False), help="Keep the letters here, one JSON a line."
)
@click.option("--no-backup", is_flag=True, help="Forget them for good.")
@click.option("--yes", is_flag=True, help="As for `outbox purge`. --backup or --no-backup says it as well.")
@json_option
def purge(  # noqa: PLR0913, PLR0917 - one parameter per option
    ids: Sequence[str],
    group: str | None,
    job_type: str | None,
    tenant: str | None,
    everything: bool,
    dry_run: bool,
    backup: Path | None,
    no_backup: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Forget letters, after writing them to a backup.

    Their jobs' rows stay."""
    if yes and dry_run:
        raise click.UsageError("--yes does it and --dry-run does not: say one of them")
    if not (backup or no_backup or dry_run):
        raise click.UsageError("name a file with --backup, or say --no-backup")
    session = open_session()
    criteria = _criteria(session, ids, group, job_type, tenant, everything=everything)
    use_case = PurgeDeadLetters(session.dead_letters)
    if backup is None or dry_run:
        count = use_case.purge(criteria, lambda _letters: None, dry_run=dry_run)
    else:
        with _opened(backup) as file:
            count = use_case.purge(criteria, lambda letters: _write(file, letters), dry_run=False)
    if as_json:
        print_json(
            {"purged": 0 if dry_run else count, "matched": count, "dry_run": dry_run, "backup": backup and str(backup)}
        )
    else:
        click.echo(
            f"{count} {'would be' if dry_run else 'were'} purged"
            + (f", kept in {backup}." if backup and not dry_run else ".")
        )


def _criteria(
    session: Session,
    ids: Sequence[str],
    group: str | None,
    job_type: str | None,
    tenant: str | None,
    *,
    everything: bool,
) -> DeadLetterFilter:
    chosen = sum((bool(ids), bool(group or job_type or tenant) and not everything, everything))
    if chosen != 1:
        raise click.UsageError("name letters by ID, or by --group, --type or --tenant, or say --all")
    whole = [_letter(session, each).id for each in ids] if ids else None
    return DeadLetterFilter(ids=whole, group=group, type=job_type, tenant=tenant)


def _did(answer: Requeued) -> str:
    return "requeued" if answer.done else answer.reason


def _would(letter: DeadLetter) -> str:
    if not letter.is_job:
        return "its message would go back to the queue"
    return f"job {letter.job_id} would start again, unless it has moved on since"


def _letter(session: Session, letter_id: str) -> DeadLetter:
    letter = session.dead_letters.get(letter_id)
    if letter is not None:
        return letter
    of_job = session.dead_letters.list(DeadLetterFilter(job_id=letter_id, limit=SUGGESTED))
    if not of_job:
        raise NotFound(f"no dead letter {letter_id[:80]!r}", fix="`mediaworker dlq list`")
    raise NotFound(
        f"no dead letter {letter_id[:80]!r}: that is a job's id, whose newest letter is {of_job[0].id}",
        fix=", ".join(f"`mediaworker dlq show {each.id}`" for each in of_job),
    )


def _opened(path: Path) -> TextIO:
    try:
        # Bodies may hold anything, so nobody else may read them; and an older backup is never overwritten.
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
    except OSError as error:
        raise Conflict(f"backup {path} can't be made: {error.strerror}", fix="name a new file") from error


def _write(file: TextIO, letters: Sequence[DeadLetter]) -> None:
    try:
        for letter in letters:
            exact = base64.b64encode(letter.body).decode()
            file.write(json.dumps({**letter_document(letter, whole=True), "body_base64": exact}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise FileAccessError(
            f"the backup can't be written: {error.strerror}; what is not in it was not purged", fix="free some space"
        ) from error
