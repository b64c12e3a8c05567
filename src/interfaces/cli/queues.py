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
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.queues import shown_queue
from src.interfaces.wiring.settings import Settings


@click.command()
@json_option
def queues(as_json: bool) -> None:
    """Messages in the queue, jobs by state, dead letters by cause."""
    settings, depth, counts, letters = _counted()
    queue = {
        "queue": shown_queue(settings),
        "backend": settings.queue.backend,
        "ready": depth.ready,
        "delayed": depth.delayed,
        "in_flight": depth.in_flight,
        "oldest_ready_seconds": depth.oldest_ready_seconds,
    }
    states = [{"type": name, "state": state.value, "jobs": count} for (name, state), count in sorted(counts.items())]
    dead = [
        {"type": name, "class": code, "letters": count}
        for (name, code), count in sorted(letters.items(), key=lambda item: (item[0][0] or "", item[0][1]))
    ]
    if as_json:
        print_json({"queues": [queue], "jobs": states, "dead_letters": dead})
        return
    oldest = depth.oldest_ready_seconds
    print_table(
        ("queue", "backend", "ready", "delayed", "in flight", "oldest"),
        [
            (
                queue["queue"],
                queue["backend"],
                depth.ready,
                depth.delayed,
                depth.in_flight,
                f"{oldest:.0f} s" if oldest else "-",
            )
        ],
        empty="",
    )
    click.echo()
    print_table(("job type", "state", "jobs"), [tuple(row.values()) for row in states], empty="No jobs yet.")
    click.echo()
    print_table(("job type", "error", "letters"), [tuple(row.values()) for row in dead], empty="No dead letters.")


def _counted() -> tuple[Settings, QueueDepth, Mapping[tuple[str, JobState], int], Mapping[tuple[str | None, str], int]]:
    """Messages, jobs and letters; nothing where there is no database."""
    try:
        session = open_existing()
    except NoDatabase as error:
        show_note(error)
        return load(), QueueDepth(ready=0, delayed=0, in_flight=0), {}, {}
    inspector: QueueInspector = session.adapters.queue_inspector()
    return session.settings, inspector.depth(), session.jobs.counts(), session.dead_letters.groups()
