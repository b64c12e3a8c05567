"""`mediaworker config`."""

from __future__ import annotations

import click

from src.interfaces.cli.output import json_option, print_json, print_table
from src.interfaces.wiring.environment import load_with_origins
from src.interfaces.wiring.reference import effective, markdown, rows
from src.interfaces.wiring.settings import Settings


@click.group()
def config() -> None:
    """Settings in effect, and all there are."""


@config.command()
@click.option("--set", "only_set", is_flag=True, help="Only those that are not at their default.")
@json_option
def show(only_set: bool, as_json: bool) -> None:
    """Every setting, its value, and the variable it comes from. Secrets are masked."""
    found = [row for row in effective(load_with_origins()) if not only_set or row["origin"] != "default"]
    if as_json:
        print_json(found)
        return
    table = [
        (row["variable"], row["value"], f"alias {row['origin']}" if row["alias"] else row["origin"]) for row in found
    ]
    print_table(("variable", "value", "from"), table, empty="Every setting is at its default.")


@config.command()
@click.option("--markdown", "as_markdown", is_flag=True, help="Print docs/settings.md.")
@json_option
def schema(as_markdown: bool, as_json: bool) -> None:
    """All settings there are; with --json as a JSON Schema."""
    if as_markdown:
        click.echo(markdown(), nl=False)
    elif as_json:
        print_json(Settings.model_json_schema())
    else:
        table = [(row["variable"], row["type"].replace("`", ""), row["default"], row["description"]) for row in rows()]
        print_table(("variable", "type", "default", "meaning"), table, empty="")
