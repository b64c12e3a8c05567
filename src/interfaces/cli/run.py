"""`mediaworker run NAME`: the same code path as `python -m src.interfaces.workers.NAME.main`."""

from __future__ import annotations

import click

from src.interfaces.wiring.environment import load


@click.command()
@click.argument("name")
@click.option("--drain", is_flag=True, help="Exit when the queue is empty and nothing runs.")
def run(name: str, drain: bool) -> int:
    """Run the worker NAME (video) until SIGTERM: it then finishes what fits and hands the rest back."""
    from src.interfaces.workers.runner import run_worker

    return run_worker(load(), name, drain=drain)
