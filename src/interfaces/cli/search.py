"""`mediaworker search`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from src.application.ports.search import (
    FILTERABLE,
    LONGEST_TEXT,
    MOST_HITS,
    SORTABLE,
    Document,
    Query,
    SearchIndex,
    Sort,
)
from src.domain.errors import NotFound
from src.interfaces.cli.errors import show_note
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.table import print_table

HELP = f"""Search the index of contents, as `index` jobs have filled it. Without TEXT, all of it.

TEXT is a few words, {LONGEST_TEXT} characters at most. One that begins with a dash comes after two: search -- -demo"""

WAYS = {"": False, "asc": False, "desc": True}


class TextCommand(click.Command):
    """Whose text may begin with a dash, which click takes for an option: the error says how to write it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises UsageError."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            dash = "A text that begins with a dash comes after two: `mediaworker search -- -demo`."
            raise click.UsageError(f"{error.format_message()} {dash}", ctx) from error


@click.command(cls=TextCommand, help=HELP)
@click.argument("text", required=False, default="")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE",
    help=f"Only with this value ({', '.join(FILTERABLE)}); of the same field several times, one of them.",
)
@click.option(
    "--sort",
    "sorts",
    multiple=True,
    metavar="FIELD[:desc]",
    help=f"In this order ({', '.join(SORTABLE)}); several times, the first one first.",
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, MOST_HITS), help="How many.")
@json_option
def search(text: str, filters: tuple[str, ...], sorts: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Print the hits; why there are none, where that can be said, goes to stderr."""
    query = Query(text=text, filters=filters_of(filters), sort=[sort_of(each) for each in sorts], limit=limit)
    hits = _hits(query)
    if as_json:
        print_json([dict(hit) for hit in hits])
        return
    columns = ("id", "title", "players", "event", "year", "brand", "quality", "views")
    names = ("id", "title", "players", "event_type", "year", "brand", "quality", "view_count")
    print_table(columns, [[_shown(hit, name) for name in names] for hit in hits], empty="No hits.")


def _hits(query: Query) -> Sequence[Document]:
    """Nothing but the index is asked for: not the jobs, not the queue. None for a reason is said on stderr."""
    from src.interfaces.wiring.adapters import build
    from src.interfaces.wiring.assemble import build_catalog
    from src.interfaces.wiring.environment import load, variable
    from src.interfaces.wiring.searches import absent_index

    settings = load()
    index: SearchIndex = build(settings, build_catalog(settings), queue=False).search()
    if (path := absent_index(settings)) is not None:
        made = 'the first `index` job makes the index, and one with {"all": true} fills it'
        show_note(NotFound(f"there is no search index at {path}", fix=f"check {variable('data_dir')}; {made}"))
    elif query.is_wordless:
        show_note(
            NotFound("the text has no word to search for", fix="letters or digits; without TEXT everything is listed")
        )
    return index.search(query)


def filters_of(given: Iterable[str]) -> dict[str, list[str]]:
    """{field: values}"""
    found: dict[str, list[str]] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not value:
            raise click.BadParameter(f"{each!r} is no FIELD=VALUE", param_hint="--filter")
        found.setdefault(name, []).append(value)
    return found


def sort_of(given: str) -> Sort:
    """`year`, `year:asc` or `year:desc`."""
    name, _, way = given.partition(":")
    if way not in WAYS:
        raise click.BadParameter(f"{given!r} is no FIELD, FIELD:asc or FIELD:desc", param_hint="--sort")
    return Sort(name, WAYS[way])


def _shown(hit: Document, name: str) -> Any:
    value = hit.get(name)
    return ", ".join(str(each) for each in value) if isinstance(value, list) else "" if value is None else value
