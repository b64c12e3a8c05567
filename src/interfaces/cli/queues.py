"""`mediaworker queues`."""

from __future__ import annotations

import click

from src.application.ports.queue import QueueInspector
from src.interfaces.cli.output import json_option, print_json, print_table
from src.interfaces.cli.session import open_session


@click.command()
@json_option
def queues(as_json: bool) -> None:
    """Messages in the queue, jobs by state, dead letters by cause."""
    session = open_session()
    inspector: QueueInspector = session.adapters.queue_inspector()
    depth = inspector.depth()
    counts, letters = session.jobs.counts(), session.dead_letters.groups()
    queue = {
        "queue": session.settings.queue.name,
        "backend": session.settings.queue.backend,
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
    print_table(("job type", "state", "jobs"), [tuple(row.values()) for row in states], empty="No jobs yet.")
    print_table(("job type", "error", "letters"), [tuple(row.values()) for row in dead], empty="No dead letters.")
