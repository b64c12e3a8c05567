"""`mediaworker run NAME`: the same code path as `python -m src.interfaces.workers.NAME.main`."""

from __future__ import annotations

import os

import click

from src.interfaces.wiring.environment import load


@click.command()
@click.argument("name")
@click.option("--drain", is_flag=True, help="Exit when the queue is empty, delayed retries included, and nothing runs.")
@click.option("--json", "as_json", is_flag=True, help="Log lines as JSON, also on a terminal (log.format=json).")
def run(name: str, drain: bool, as_json: bool) -> int:
    """Run the worker NAME (video, content, recovery, scheduler, events) until SIGTERM: it then finishes what fits and hands the
    rest back."""
    from src.interfaces.workers.runner import WITHOUT_QUEUE, WORKERS, run_worker

    if name not in WORKERS:
        raise click.UsageError(f"no worker {name!r}: this build has {', '.join(WORKERS)}")

    if drain and name in WITHOUT_QUEUE:
        instead = WITHOUT_QUEUE[name].instead
        raise click.UsageError(f"{name} takes nothing from a queue, so there is nothing to drain: {instead}")
    if as_json:
        # In the environment, because the handlers' processes read their settings from there.
        os.environ["WORKER_LOG__FORMAT"] = "json"
    return run_worker(load(), name, drain=drain)
