"""Prints documents: JSON for programs, fields for people. rich is imported only when there is something to draw."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from src.infrastructure.observability.redaction import one_line

if TYPE_CHECKING:
    from rich.console import Console

Document = dict[str, Any]

MOST_LINES, LONGEST_LINE = 60, 200
"""Of a document among fields."""


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


def console(*, stderr: bool = False) -> Console:
    """Where bars go. Nothing in a text is taken for markup."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def print_value(name: str, value: object) -> None:
    """A document that is shown among fields, cut where it is huge."""
    lines = _json(value, indent=2).splitlines()
    click.echo(f"{name}:")
    for line in lines[:MOST_LINES]:
        line = one_line(line)  # noqa: PLW2901 - the same line, fit to be shown
        click.echo(f"  {line}" if len(line) <= LONGEST_LINE else f"  {line[:LONGEST_LINE]}…")
    if len(lines) > MOST_LINES:
        click.echo(f"  … and {len(lines) - MOST_LINES} more lines: --json")


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Name and value, one a line; None is left out."""
    width = max(len(name) for name, _value in fields) + 2
    for name, value in fields:
        if value is not None and value != "":
            click.echo(f"{name + ':':<{width}}{one_line(str(value))}")
