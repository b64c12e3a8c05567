"""Tables, one line a row: on a terminal with short ids, ages, and "…" where a text is cut; for a program with all of it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import click

from src.infrastructure.observability.redaction import one_line
from src.interfaces.cli.documents import iso

SHORTEST_ID = 8
"""Characters of an id on a terminal, more where that is not unique; six are enough to name one."""

GAP = 2

MOST_PADDED = 40
"""Columns to which cells are filled up where nobody measures the line: one long text must not push all others aside."""

NARROWEST = 6
"""Columns that are left of a text while there is a wider one to cut."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of which a terminal shows a shorter form."""

    full: str
    short: str


def short_ids(ids: Sequence[str]) -> list[Cell]:
    """Each id with its beginning: 8 characters, or as many as tell it from the others of the list."""
    shortest = dict.fromkeys(ids, SHORTEST_ID)
    ordered = sorted(shortest)
    for one, other in pairwise(ordered):
        differs = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one)) + 1
        shortest[one], shortest[other] = max(shortest[one], differs), max(shortest[other], differs)
    return [Cell(each, each[: shortest[each]]) for each in ids]


def moment(at: float | None, now: float) -> Cell | None:
    """A time, which a terminal shows as how long ago it was."""
    return None if at is None else Cell(iso(at) or "", age(now - at))


def age(seconds: float) -> str:
    """`3 min`."""
    seconds = max(0.0, seconds)
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def print_table(columns: Sequence[object], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """The table, or the sentence for an empty one. Texts from outside can't move the terminal's cursor."""
    on_terminal = sys.stdout.isatty()
    table = [[_text(cell, short=on_terminal) for cell in row] for row in (columns, *rows)]
    if len(table) == 1:
        click.echo(empty)
        return
    lines = fitted(table, shutil.get_terminal_size().columns) if on_terminal else padded(table)
    click.echo("\n".join(lines))


def padded(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines with every value whole, in columns as far as that takes few blanks."""
    widths = [min(MOST_PADDED, max(map(len, column))) for column in zip(*table, strict=True)]
    return [
        (" " * GAP).join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    ]


def fitted(table: Sequence[Sequence[str]], room: int) -> list[str]:
    """Lines of at most `room` columns, a rule under the first. The widest columns are cut first, the first one last: it
    is what people copy."""
    from rich.cells import cell_len, set_cell_size

    widths = [min(room, max(map(cell_len, column))) for column in zip(*table, strict=True)]
    least = [max(NARROWEST, cell_len(name)) for name in table[0]]
    over = sum(widths) + GAP * (len(widths) - 1) - room
    none = [len(_mark())] * len(widths)
    for lowest, first in ((least, 1), (none, 1), (none, 0)):
        while over > 0 and (wider := [i for i in range(first, len(widths)) if widths[i] > lowest[i]]):
            widths[max(wider, key=widths.__getitem__)] -= 1
            over -= 1

    def cut(text: str, width: int) -> str:
        kept = text if cell_len(text) <= width else set_cell_size(text, width - len(_mark())) + _mark()
        return set_cell_size(kept, width)

    lines = [
        (" " * GAP).join(cut(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    ]
    return [lines[0], (" " * GAP).join("-" * width for width in widths), *lines[1:]]


def _mark() -> str:
    """What stands for the rest of a text, on this terminal."""
    try:
        "…".encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return "..."
    return "…"


def _text(cell: object, *, short: bool) -> str:
    if isinstance(cell, Cell):
        cell = cell.short if short else cell.full
    return one_line("" if cell is None else str(cell))
