"""`mediaworker outbox`: events that other systems have yet to be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import click

from src.application.ports.outbox import OutboxDesk, Unsent, Waiting
from src.domain.errors import NotFound
from src.interfaces.cli.documents import shown
from src.interfaces.cli.errors import show_note
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.session import NoDatabase, Session, open_existing
from src.interfaces.cli.table import moment, print_table
from src.interfaces.wiring.environment import variable

EMPTY = "Everything was sent."
NONE_PARKED = "Nothing is parked."
NOTHING = Waiting(count=0, oldest_at=0.0)
SHOWN = 80
"""Letters of an error in the table."""


@click.group()
def outbox() -> None:
    """Events that other systems have yet to be told: list, retry, purge."""


@outbox.command("list")
@click.option("--sink", help="Only what this one has yet to be told.")
@click.option("--parked", is_flag=True, help="Only what it did not take, and is tried no more.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Most events of each sink.")
@json_option
def list_events(sink: str | None, parked: bool, limit: int, as_json: bool) -> None:
    """Show what is unsent, in the order in which it was written."""
    try:
        session = open_existing("events")
    except NoDatabase as error:
        show_note(error)
        print_json([]) if as_json else click.echo(EMPTY)
        return
    kept: OutboxDesk = session.adapters.outbox()
    now: float = session.adapters.clock().now()
    waiting = kept.waiting()
    if sink and (unknown := _unknown(sink, session, waiting)):
        show_note(unknown)
    found = []
    for name in [sink] if sink else sorted(waiting):
        events = kept.kept(name, limit, parked=parked)
        found += [(name, each) for each in _with_why(events)]
        there = waiting.get(name, NOTHING)
        if len(events) == limit < (count := there.parked if parked else there.count):
            click.echo(f"mediaworker: {limit} of {count} for {name}; --limit shows more", err=True)
    if as_json:
        print_json([{"sink": name, **_document(each)} for name, each in found])
        return
    print_table(
        ("sink", "when", "event", "tenant", "state"),
        [
            (name, moment(each.event.at, now), each.event.id, each.event.tenant, _state(each, now))
            for name, each in found
        ],
        empty=NONE_PARKED if parked else EMPTY,
    )


@outbox.command()
@click.argument("events", nargs=-1)
@click.option("--sink", help="Only for this one.")
@click.option("--all", "everything", is_flag=True, help="All that are parked (what only waits goes by itself).")
@json_option
def retry(events: Sequence[str], sink: str | None, everything: bool, as_json: bool) -> None:
    """Send EVENTS again that were parked or put off, and what waits behind them: the receiver takes them now."""
    if bool(events) == everything:
        raise click.UsageError("name EVENTS (`mediaworker outbox list --parked` shows them), or say --all")
    session = open_existing("events")
    kept: OutboxDesk = session.adapters.outbox()
    waiting = kept.waiting()
    if sink and (unknown := _unknown(sink, session, waiting)):
        raise unknown
    wanted: dict[str, Sequence[str]] = {}
    there_are: set[str] = set()
    for name in [sink] if sink else sorted(waiting):
        there = waiting.get(name, NOTHING)
        # One that is named may be put off only.
        found = kept.kept(name, there.count if events else there.parked, parked=everything)
        there_are.update(each.event.id for each in found)
        wanted[name] = [each.event.id for each in found if _held(each) and (everything or each.event.id in events)]
    if unknown_ids := sorted(set(events) - there_are):
        where = f" for {sink}" if sink else ""
        raise NotFound(
            f"{', '.join(unknown_ids)[:200]} is not unsent{where}: it was sent, was purged, or never was",
            fix="`mediaworker outbox list` shows what is unsent, and why",
        )
    freed = [{"sink": name, "id": each} for name, ids in wanted.items() for each in kept.release(name, ids)]
    print_json(freed) if as_json else click.echo(f"{len(freed)} will be sent again")
    if waits := sorted(set(events).difference(*wanted.values())):
        click.echo(
            f"mediaworker: {', '.join(waits)} is held by nothing: it goes by itself once its sink takes it"
            " (`mediaworker outbox list` says what the sink answers)",
            err=True,
        )
    others = sum(each.count - each.parked for name, each in waiting.items() if sink in (None, name))
    if everything and others:
        click.echo(
            f"mediaworker: {others} more are unsent and not parked: they go by themselves once their sink takes them. --all is for"
            " parked ones; one that was put off (`mediaworker outbox list`) is sent now when it is named",
            err=True,
        )


@outbox.command()
@click.argument("sink")
@click.option("--parked", is_flag=True, help="Only what it did not take, and is tried no more.")
@click.option("--yes", is_flag=True, help="Do it; without this it only says what would go.")
@json_option
def purge(sink: str, parked: bool, yes: bool, as_json: bool) -> None:
    """Forget what SINK has yet to be told: it will never hear of it."""
    session = open_existing("events")
    kept: OutboxDesk = session.adapters.outbox()
    waiting = kept.waiting()
    if unknown := _unknown(sink, session, waiting):
        raise unknown
    there = waiting.get(sink, NOTHING)
    count = there.parked if parked else there.count
    left = count
    while yes and left > 0 and (events := kept.kept(sink, min(left, 500), parked=parked)):
        kept.sent(sink, [each.event.id for each in events])
        left -= len(events)
    what = "parked" if parked else "unsent"
    document = {"sink": sink, what: count, "removed": count - left if yes else 0}
    if as_json:
        print_json(document)
    elif yes:
        click.echo(f"removed {document['removed']}")
    else:
        click.echo(f"{count} {what} for {sink}; --yes removes them")


def _unknown(sink: str, session: Session, waiting: Mapping[str, Waiting]) -> NotFound | None:
    """What is to be said of a sink that is neither configured nor has anything to be told: a slip of the pen, most likely."""
    known = sorted({*session.settings.events.sinks, *waiting})
    if sink in known:
        return None
    return NotFound(
        f"no sink {sink[:80]!r}: it is not among {variable('events.sinks')}, and nothing is unsent for it",
        fix=f"known here: {', '.join(known) or 'none'}",
    )


def _held(each: Unsent) -> bool:
    """Whether the event itself is put off or parked; else it waits for its sink alone, or for its turn."""
    return each.hold is not None and each.hold.tries > 0


def _with_why(events: Sequence[Unsent]) -> Sequence[Unsent]:
    """What waits for a sink that takes nothing, with what the sink answered last: it is noted at the events that were tried, and
    keeps all the others as well."""
    notes = [each.hold for each in events if each.hold is not None and each.hold.tries == 0]
    newest = max(notes, key=lambda hold: hold.retry_at or 0.0, default=None)
    return [each if _held(each) else replace(each, hold=newest) for each in events]


def _state(each: Unsent, now: float) -> str:
    hold = each.hold
    if hold is None:
        return "waits"
    shown = hold.error if len(hold.error) <= SHOWN else f"{hold.error[:SHOWN]}..."
    if hold.tries == 0:
        return f"waits for its sink: {shown}"
    if hold.retry_at is None:
        return f"parked after {hold.tries} tries: {shown}"
    return f"try {hold.tries + 1} in {max(0, round(hold.retry_at - now))} s: {shown}"


def _document(each: Unsent) -> dict[str, object]:
    event, hold = each.event, each.hold
    return {
        "id": event.id,
        "type": event.type,
        "at": event.at,
        "job_id": event.job_id,
        "tenant": event.tenant,
        "subject": event.subject,
        "data": shown(event.data),
        "parked": hold is not None and hold.retry_at is None,
        "tries": hold.tries if hold else 0,
        "retry_at": hold.retry_at if hold and hold.tries else None,
        "error": hold.error if hold else None,
    }
