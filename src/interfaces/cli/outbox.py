"""`mediaworker outbox`: events that other systems have yet to be told."""

from __future__ import annotations

import click

from src.application.ports.outbox import JobEvent, Outbox
from src.interfaces.cli.documents import shown
from src.interfaces.cli.errors import show_note
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.session import NoDatabase, open_existing
from src.interfaces.cli.table import moment, print_table

EMPTY = "Everything was sent."


@click.group()
def outbox() -> None:
    """Events that other systems have yet to be told: list, purge."""


@outbox.command("list")
@click.option("--sink", help="Only what this one has yet to be told.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Most events of each sink.")
@json_option
def list_events(sink: str | None, limit: int, as_json: bool) -> None:
    """Show what is unsent, in the order in which it goes."""
    try:
        session = open_existing("events")
    except NoDatabase as error:
        show_note(error)
        print_json([]) if as_json else click.echo(EMPTY)
        return
    kept: Outbox = session.adapters.outbox()
    now: float = session.adapters.clock().now()
    sinks = [sink] if sink else sorted(kept.waiting())
    found = [(name, event) for name in sinks for event in kept.unsent(name, limit)]
    if as_json:
        print_json([{"sink": name, **_document(event)} for name, event in found])
        return
    print_table(
        ("sink", "when", "event", "tenant", "job"),
        [(name, moment(event.at, now), event.type, event.tenant, event.job_id) for name, event in found],
        empty=EMPTY,
    )


@outbox.command()
@click.argument("sink")
@click.option("--yes", is_flag=True, help="Do it; without this it only says what would go.")
@json_option
def purge(sink: str, yes: bool, as_json: bool) -> None:
    """Forget what SINK has yet to be told: it will never hear of it."""
    kept: Outbox = open_existing("events").adapters.outbox()
    waiting = kept.waiting().get(sink)
    count = waiting.count if waiting else 0
    left = count
    while yes and left > 0 and (events := kept.unsent(sink, min(left, 500))):
        kept.sent(sink, [event.id for event in events])
        left -= len(events)
    document = {"sink": sink, "unsent": count, "removed": count - left if yes else 0}
    if as_json:
        print_json(document)
    elif yes:
        click.echo(f"removed {document['removed']}")
    else:
        click.echo(f"{count} unsent for {sink}; --yes removes them")


def _document(event: JobEvent) -> dict[str, object]:
    return {
        "id": event.id,
        "type": event.type,
        "at": event.at,
        "job_id": event.job_id,
        "tenant": event.tenant,
        "subject": event.subject,
        "data": shown(event.data),
    }
