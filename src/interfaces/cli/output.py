"""Prints documents: JSON for programs, tables for people. rich is imported only when there is a table to draw."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from src.infrastructure.observability.redaction import one_line

if TYPE_CHECKING:
    from rich.console import Console

Document = dict[str, Any]


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` on a command, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(document: object) -> None:
    """One document on stdout."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_json_line(document: object) -> None:
    """One document on one line, for streams of them."""
    click.echo(json.dumps(document, ensure_ascii=False))


def console(*, stderr: bool = False) -> Console:
    """Where tables and bars go. Nothing in a text is taken for markup."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A plain table, or the sentence for an empty one. Texts from outside can't move the terminal's cursor."""
    cells = [[one_line("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not cells:
        click.echo(empty)
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console().print(table)


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Name and value, one a line; None is left out."""
    width = max(len(name) for name, _value in fields) + 2
    for name, value in fields:
        if value is not None and value != "":
            click.echo(f"{name + ':':<{width}}{one_line(str(value))}")
