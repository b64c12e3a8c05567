"""`mediaworker config`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.table import Cell, print_table
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
    """Every setting, its value, and where it comes from.

    Secrets are masked."""
    found = [row for row in effective(load_with_origins()) if not only_set or row["origin"] != "default"]
    if as_json:
        print_json(found)
        return
    table = [(row["variable"], _as_set(row["value"]), _origin(row)) for row in found]
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
        # A meaning is a sentence: cut to one line of a terminal it would mean nothing.
        _explain(table) if sys.stdout.isatty() else print_table(
            ("variable", "type", "default", "meaning"), table, empty=""
        )


def _as_set(value: object) -> object:
    """A list as its variable has it."""
    return ",".join(map(str, value)) if isinstance(value, list) else value


def _origin(row: Mapping[str, Any]) -> str | Cell:
    """The variable that was set; on a terminal without repeating the first column. Where it was, if not in the environment."""
    if row["source"] not in (None, "environment"):
        return f"{row['source']} {row['origin']}" if row["alias"] else str(row["source"])
    if row["alias"]:
        return f"alias {row['origin']}"
    return row["origin"] if row["origin"] != row["variable"] else Cell(row["variable"], "environment")


def _explain(table: Sequence[tuple[str, str, str, str]]) -> None:
    for name, kind, default, meaning in table:
        click.echo(f"{name}  ({kind}, default {default})")
        click.echo(click.wrap_text(meaning, shutil.get_terminal_size().columns, "    ", "    "))
