"""`mediaworker db`."""

from __future__ import annotations

import click

from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.session import place
from src.interfaces.wiring.environment import load


@click.group()
def db() -> None:
    """Create or migrate the database. The embedded one migrates itself; PostgreSQL waits for this command."""


@db.command()
@json_option
def upgrade(as_json: bool) -> None:
    """Bring the database to this version's tables. Safe to run twice, and by several at once."""
    from src.infrastructure.db import schema

    settings = load()
    if settings.database.url is None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    before = schema.schema_version(settings.database_url)
    now = schema.upgrade(settings.database_url)
    if as_json:
        print_json({"database": place(settings), "before": before, "now": now})
    else:
        click.echo(
            f"{place(settings)}: revision {now}"
            + (" (was current)" if before == now else f" (was {before or 'empty'})")
        )


@db.command()
def sql() -> None:
    """Print the SQL that makes the tables, for those who let nobody else run it."""
    from src.infrastructure.db import schema

    click.echo(schema.sql(load().database_url))
