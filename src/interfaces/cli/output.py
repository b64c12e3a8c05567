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
from src.interfaces.cli.documents import iso

if TYPE_CHECKING:
    from rich.console import Console

Document = dict[str, Any]

UNFOLDED = 10_000
"""Columns of a table that no terminal shows: a program that reads it must find every cell on one line."""


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` on a command, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


LEAST_WIDTH = 8
"""Narrower than this no column gets: such a terminal folds lines by itself."""

SHORT_ID = 10
"""Characters of an id on a terminal; the letters of messages begin with `m-`."""


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
    """A plain table with a line per row, or the sentence for an empty one. On a terminal the widest columns are cut to its
    width, with an ellipsis; piped, nothing is. Texts from outside can't move the terminal's cursor."""
    cells = [[one_line("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not cells:
        click.echo(empty)
        return
    from rich import box
    from rich.table import Table

    out = console(width=None if sys.stdout.isatty() else UNFOLDED)
    widths = fitting([columns, *cells], out.width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, overflow="ellipsis", no_wrap=True, width=width)
    for row in cells:
        table.add_row(*row)
    with out.capture() as drawn:
        out.print(table)
    # Not printed by rich: that ends the process with 1 when the reader goes away.
    click.echo(drawn.get(), nl=False)


def fitting(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Widths of the columns, in characters: what they hold, less what the widest must give for the line to fit."""
    from rich.cells import cell_len

    widths = [max(cell_len(row[number]) for row in rows) for number in range(len(rows[0]))]
    # Two characters between columns, and one at the ends.
    over = sum(widths) + 2 * len(widths) - width
    while over > 0 and max(widths) > LEAST_WIDTH:
        widest = widths.index(max(widths))
        rest = max((other for number, other in enumerate(widths) if number != widest), default=LEAST_WIDTH)
        cut = min(over, max(1, widths[widest] - max(rest, LEAST_WIDTH)))
        widths[widest], over = widths[widest] - cut, over - cut
    return widths


def short_id(value: str) -> str:
    """As much of an id as a terminal has room for; the commands take it. Piped: all of it."""
    return value[:SHORT_ID] if sys.stdout.isatty() else value


def since(epoch: float, now: float) -> str:
    """How long ago, on a terminal; piped: when."""
    if not sys.stdout.isatty():
        return iso(epoch) or ""
    seconds = max(0.0, now - epoch)
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Name and value, one a line; None is left out."""
    width = max(len(name) for name, _value in fields) + 2
    for name, value in fields:
        if value is not None and value != "":
            click.echo(f"{name + ':':<{width}}{one_line(str(value))}")
