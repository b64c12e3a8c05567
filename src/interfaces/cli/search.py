"""`mediaworker search`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from src.application.ports.search import FILTERABLE, MOST_HITS, SORTABLE, Document, Query, SearchIndex, Sort
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.table import print_table

WAYS = {"": False, "asc": False, "desc": True}


@click.command()
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
    """Search the index of contents, as `index` jobs have filled it. Without TEXT, all of it."""
    query = Query(text=text, filters=filters_of(filters), sort=[sort_of(each) for each in sorts], limit=limit)
    hits = _index().search(query)
    if as_json:
        print_json([dict(hit) for hit in hits])
        return
    columns = ("id", "title", "players", "event", "year", "brand", "quality", "views")
    names = ("id", "title", "players", "event_type", "year", "brand", "quality", "view_count")
    print_table(columns, [[_shown(hit, name) for name in names] for hit in hits], empty="No hits.")


def _index() -> SearchIndex:
    """Nothing but the index is asked for: not the jobs, not the queue."""
    from src.interfaces.wiring.adapters import build
    from src.interfaces.wiring.assemble import build_catalog
    from src.interfaces.wiring.environment import load

    settings = load()
    index: SearchIndex = build(settings, build_catalog(settings), queue=False).search()
    return index


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
