"""`mediaworker db`."""

from __future__ import annotations

import click

from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.session import database_place
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.checks import check_data_dir
from src.interfaces.wiring.environment import load


@click.group()
def db() -> None:
    """Create or migrate the database. The embedded one migrates itself; PostgreSQL waits for this command."""


@db.command()
@json_option
def upgrade(as_json: bool) -> None:
    """Bring the database to this version's tables. Safe to run twice, and by several at once."""
    from src.infrastructure.db import schema
    from src.interfaces.wiring.databases import server_options

    settings = load()
    if settings.database.url is None:
        check_data_dir(settings, build(settings, build_catalog(settings)))
    server = server_options(settings)
    before = schema.schema_version(settings.database_url, server)
    now = schema.upgrade(settings.database_url, server)
    if settings.queue_database_url != settings.database_url:
        schema.upgrade(settings.queue_database_url, server)
    if as_json:
        print_json({"database": database_place(settings), "before": before, "now": now})
    else:
        click.echo(
            f"{database_place(settings)}: revision {now}"
            + (" (was current)" if before == now else f" (was {before or 'empty'})")
        )


@db.command()
@json_option
def sql(as_json: bool) -> None:
    """Print the SQL that makes the tables.

    For those who let nobody else run it."""
    from src.infrastructure.db import schema

    text = schema.sql(load().database_url)
    print_json({"sql": text}) if as_json else click.echo(text)
