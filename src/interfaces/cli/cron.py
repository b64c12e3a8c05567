"""`mediaworker cron`."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from src.application.cron.entry import Entry
from src.application.dispatch import set_going
from src.application.ports.cron import CronTicks, Standing
from src.domain.cron import Missed
from src.domain.errors import NotFound
from src.domain.job import Job
from src.interfaces.cli.documents import iso
from src.interfaces.cli.errors import OK, UNREACHABLE, show_note
from src.interfaces.cli.options import Moment, since as moment_option
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.cli.session import NoDatabase, open_existing, open_session
from src.interfaces.cli.table import Cell, age, print_table
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.crons import Crontab, make_crontab
from src.interfaces.wiring.dispatches import check_road
from src.interfaces.wiring.environment import load

Document = dict[str, Any]

NO_ENTRIES = "No entries: docs/cron.md says how to add some."


@click.group()
def cron() -> None:
    """Jobs by the clock: what fires when, and what fired. `mediaworker run scheduler` fires it; any number of them may run."""


@cron.command("list")
@json_option
def list_entries(as_json: bool) -> None:
    """Every entry: its schedule and zone, what becomes of missed moments, when it last fired, and when it fires next."""
    crontab = _crontab()
    now, standings = _standings(crontab)
    if as_json:
        print_json(
            [_document(entry, standings.get(entry.name, Standing()), now) for entry in crontab.entries]
            + [
                {"name": each.name, "type": each.type, "scheduled": False, "why": each.why}
                for each in crontab.unscheduled
            ]
        )
        return
    rows: list[tuple[object, ...]] = []
    for entry in crontab.entries:
        last = standings.get(entry.name, Standing()).last
        rows.append(
            (entry.name, entry.type, entry.schedule.expression, entry.schedule.zone, _missed(entry),
             Cell(_shown(entry, last.scheduled_at), age(now - last.scheduled_at)) if last else None, last.job_id if last else None,
             _shown(entry, entry.schedule.next(now)))
        )  # fmt: skip
    rows += [(each.name, each.type, None, None, None, None, None, each.why) for each in crontab.unscheduled]
    print_table(("entry", "job type", "schedule", "zone", "missed", "last", "job", "next"), rows, empty=NO_ENTRIES)


@cron.command("next")
@click.argument("name", required=False)
@click.option("--count", default=3, show_default=True, type=click.IntRange(1, 1000), help="How many of each entry.")
@click.option("--after", metavar="TIME", callback=moment_option, help="Not from now but from then on (ISO 8601).")
@json_option
def next_moments(name: str | None, count: int, after: Moment | None, as_json: bool) -> None:
    """When entries fire next, by their own zone's clock and in UTC. Asks no backend."""
    crontab = _crontab()
    now = datetime.now(UTC).timestamp()
    begin = after(now) if after else now
    chosen = [_named(crontab, name)] if name else crontab.entries
    found = [(entry, at) for entry in chosen for at in islice(entry.schedule.moments(begin, float("inf")), count)]
    found.sort(key=lambda each: each[1])
    if as_json:
        print_json([{"name": entry.name, "zone": entry.schedule.zone, **_moment(entry, at)} for entry, at in found])
        return
    rows = [(entry.name, _shown(entry, at), entry.schedule.zone, iso(at)) for entry, at in found]
    print_table(("entry", "local", "zone", "UTC"), rows, empty=NO_ENTRIES)


@cron.command("run")
@click.argument("name")
@json_option
def run_entry(name: str, as_json: bool) -> int:
    """Ask for the job of entry NAME once, now. It is a job of its own: no moment of the schedule is used up by it.

    Prints the job's id.
    """
    crontab = _crontab()
    entry = _named(crontab, name)
    session = open_session()
    now: float = session.adapters.clock().now()
    draft = entry.draft(session.catalog, str(uuid.uuid4()), now)
    check_road(session.settings, draft.type)
    admission = session.ledger.admit(draft)
    job = admission.job
    if job is None:
        raise AssertionError("an admission without limits is never rejected")
    published = set_going(job, session.ledger, session.adapters.dispatch()) if admission.created else True
    if as_json:
        print_json({"name": name, "job": job.id, "created": admission.created, "published": published})
    else:
        _tell(job, created=admission.created, published=published)
    return OK if published else UNREACHABLE


def _tell(job: Job, *, created: bool, published: bool) -> None:
    click.echo(job.id)
    if not created:
        click.echo(f"mediaworker: this job is active already ({job.state.value}); no second one was made", err=True)
    if not published:
        click.echo(
            "mediaworker: the job is there; its message could not be sent, a worker's waker will send one", err=True
        )


def _crontab() -> Crontab:
    settings = load()
    return make_crontab(settings, build_catalog(settings))


def _named(crontab: Crontab, name: str) -> Entry:
    for entry in crontab.entries:
        if entry.name == name:
            return entry
    why = next((each.why for each in crontab.unscheduled if each.name == name), None)
    known = ", ".join(entry.name for entry in crontab.entries) or "none"
    raise NotFound(f"entry {name[:80]!r}: {why}" if why else f"no entry {name[:80]!r}", fix=f"scheduled: {known}")


def _standings(crontab: Crontab) -> tuple[float, dict[str, Standing]]:
    """The keeper's time and what it knows; nothing where nobody has kept anything yet."""
    try:
        session = open_existing("fired entries")
    except NoDatabase as error:
        show_note(error)
        return datetime.now(UTC).timestamp(), {}
    ticks: CronTicks = session.adapters.cron_ticks()
    now: float = session.adapters.clock().now()
    if not crontab.entries:
        return now, {}
    board = ticks.board({entry.name: str(entry.schedule) for entry in crontab.entries})
    return board.now, dict(board.entries)


def _document(entry: Entry, standing: Standing, now: float) -> Document:
    policy, last, upcoming = entry.policy, standing.last, entry.schedule.next(now)
    return {
        "name": entry.name,
        "type": entry.type,
        "scheduled": True,
        "schedule": entry.schedule.expression,
        "zone": entry.schedule.zone,
        "missed": policy.missed.value,
        "fill_seconds": policy.fill_seconds if policy.missed is Missed.ALL else None,
        "origin": entry.origin,
        "last": last and {**_moment(entry, last.scheduled_at), "fired_at": iso(last.fired_at), "job": last.job_id},
        "next": None if upcoming is None else _moment(entry, upcoming),
    }


def _moment(entry: Entry, at: float) -> Document:
    return {"local": entry.schedule.local(at).isoformat(), "utc": iso(at)}


def _shown(entry: Entry, at: float | None) -> str:
    return "" if at is None else entry.schedule.local(at).strftime("%Y-%m-%d %H:%M:%S %z")


def _missed(entry: Entry) -> str:
    policy = entry.policy
    return f"all, {policy.fill_seconds:g} s back" if policy.missed is Missed.ALL else policy.missed.value
