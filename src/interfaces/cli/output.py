"""Prints documents: JSON for programs, tables for people. rich is imported only when there is a table to draw."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from src.infrastructure.observability.redaction import one_line

if TYPE_CHECKING:
    from rich.console import Console

Document = dict[str, Any]

UNFOLDED = 10_000
"""Columns of a table that no terminal shows: a program that reads it must find every cell on one line."""


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` on a command, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(document: object) -> None:
    """One document on stdout."""
    click.echo(_json(document, indent=2))


def print_json_line(document: object) -> None:
    """One document on one line, for streams of them."""
    click.echo(_json(document))


def _json(document: object, indent: int | None = None) -> str:
    """Legible letters where stdout can carry them; escapes where it can't, as for half a surrogate pair in a message."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(document, indent=indent, ensure_ascii=True)
    return text


def nobody_reads() -> None:
    """The reader of stdout went away: what is still to be written goes nowhere, and the exit code stays ours."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """For the last words of a command whose exit code says more than they do."""
    try:
        yield
    except BrokenPipeError:
        nobody_reads()


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Where tables and bars go. Nothing in a text is taken for markup."""
    from rich.console import Console

    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A plain table, or the sentence for an empty one. Texts from outside can't move the terminal's cursor. The first
    column is never folded: it is what people copy."""
    cells = [[one_line("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not cells:
        click.echo(empty)
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in cells:
        table.add_row(*row)
    out = console(width=None if sys.stdout.isatty() else UNFOLDED)
    with out.capture() as drawn:
        out.print(table)
    # Not printed by rich: that ends the process with 1 when the reader goes away.
    click.echo(drawn.get(), nl=False)


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Name and value, one a line; None is left out."""
    width = max(len(name) for name, _value in fields) + 2
    for name, value in fields:
        if value is not None and value != "":
            click.echo(f"{name + ':':<{width}}{one_line(str(value))}")
