"""`mediaworker queues`."""

from __future__ import annotations

from collections.abc import Mapping

import click

from src.application.ports.queue import QueueDepth, QueueInspector
from src.domain.job import JobState
from src.interfaces.cli.errors import show_note
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.session import NoDatabase, open_existing
from src.interfaces.cli.table import print_table
from src.interfaces.wiring.deletions import deletion_depth
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.queues import UNUSED, queue_is_used, shown_queue
from src.interfaces.wiring.settings import Settings

Row = dict[str, object]

Counts = tuple[Mapping[tuple[str, JobState], int], Mapping[tuple[str | None, str], int]]
"""Jobs by (type, state), dead letters by (type, class)."""


@click.command()
@json_option
def queues(as_json: bool) -> None:
    """Messages in the queues, jobs by state, dead letters by cause.

    The deletion queue is shown where one is chosen, or something waits in it."""
    settings, rows, (counts, letters) = _counted()
    states = [{"type": name, "state": state.value, "jobs": count} for (name, state), count in sorted(counts.items())]
    dead = [
        {"type": name, "class": code, "letters": count}
        for (name, code), count in sorted(letters.items(), key=lambda item: (item[0][0] or "", item[0][1]))
    ]
    if as_json:
        print_json({"queues": rows, "jobs": states, "dead_letters": dead})
        return
    shown = [(*list(row.values())[:-1], _age(row["oldest_ready_seconds"])) for row in rows]
    if shown:
        print_table(("queue", "backend", "ready", "delayed", "in flight", "oldest"), shown, empty="")
    if not queue_is_used(settings):
        click.echo(f"Queue of jobs: {UNUSED}.")
    click.echo()
    print_table(("job type", "state", "jobs"), [tuple(row.values()) for row in states], empty="No jobs yet.")
    click.echo()
    print_table(("job type", "error", "letters"), [tuple(row.values()) for row in dead], empty="No dead letters.")


def _counted() -> tuple[Settings, list[Row], Counts]:
    """Messages, jobs and letters; nothing where there is no database."""
    try:
        session = open_existing()
    except NoDatabase as error:
        show_note(error)
        settings = load()
        nothing = _row(settings, shown_queue(settings), QueueDepth(ready=0, delayed=0, in_flight=0))
        return settings, [nothing] if queue_is_used(settings) else [], ({}, {})
    settings, rows = session.settings, []
    if queue_is_used(settings):
        inspector: QueueInspector = session.adapters.queue_inspector()
        rows.append(_row(settings, shown_queue(settings), inspector.depth()))
    name = settings.deletion.queue_name
    same = bool(rows) and name == shown_queue(settings)
    if not same and not isinstance(depth := deletion_depth(settings, session.adapters), str):
        rows.append(_row(settings, name, depth))
    return settings, rows, (session.jobs.counts(), session.dead_letters.groups())


def _row(settings: Settings, name: str, depth: QueueDepth) -> Row:
    return {
        "queue": name,
        "backend": settings.queue.backend,
        "ready": depth.ready,
        "delayed": depth.delayed,
        "in_flight": depth.in_flight,
        "oldest_ready_seconds": depth.oldest_ready_seconds,
    }


def _age(seconds: object) -> str:
    return f"{seconds:.0f} s" if isinstance(seconds, float) and seconds else "-"
