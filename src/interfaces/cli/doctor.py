"""`mediaworker doctor`."""

from __future__ import annotations

import logging
from collections.abc import Callable

import click

from src.application.catalog import Catalog
from src.domain.errors import ConfigError, NetworkError, WorkerError
from src.interfaces.cli.errors import CONFIG, OK, UNREACHABLE
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.wiring.adapters import Adapters, build
from src.interfaces.wiring.assemble import build_catalog, check_handlers, left_out
from src.interfaces.wiring.checks import Finding, diagnose, failed
from src.interfaces.wiring.crons import check_crontab
from src.interfaces.wiring.deletions import check_deletion
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.events import check_listeners, check_sinks
from src.interfaces.wiring.queues import UNUSED, queue_is_used
from src.interfaces.wiring.settings import Settings


@click.command()
@click.option("--worker", is_flag=True, help="Only what this worker needs itself, as a container's health check asks.")
@json_option
def doctor(worker: bool, as_json: bool) -> int:
    """Try everything a worker needs, part by part, and whether the deletion queue has a consumer, where one is configured.
    Exits 4 when something is wrong, 7 when a backend is away."""
    # What the checks log stands in their findings as well; without a handler Python prints it bare beside the table.
    logging.getLogger().addHandler(logging.NullHandler())
    settings = load()
    catalog = build_catalog(settings)
    adapters = build(settings, catalog)
    # A worker is not ill because somebody else's is missing, or somebody else's settings are wrong.
    others = (
        []
        if worker
        else [_asked("deletion", lambda: check_deletion(settings, adapters)), *_loops(settings, adapters, catalog)]
    )
    unused = {} if queue_is_used(settings) else {"queue": UNUSED}
    # What the content worker needs is asked of those who have set anything for it.
    findings = [
        *diagnose(settings, adapters, content=bool(settings.content.model_fields_set), unused=unused),
        *others,
        _asked("events", lambda: check_sinks(settings, adapters)),
        _job_types(settings, catalog),
    ]
    errors = [finding.error for finding in findings if finding.error is not None]
    if as_json:
        checks = [
            {
                "check": found.name,
                "ok": found.ok,
                "detail": found.detail,
                "fix": found.error.fix if found.error else None,
            }
            for found in findings
        ]
        print_json({"ok": not errors, "checks": checks, "job_types": catalog.names()})
    else:
        for found in findings:
            click.echo(f"{'ok  ' if found.ok else 'FAIL'}  {found.name:<15} {found.detail}")
            if found.error is not None and found.error.fix:
                click.echo(f"      {'':<15} fix: {found.error.fix}")
        click.echo(
            "\nEverything a worker needs is there."
            if not errors
            else f"\n{len(errors)} of {len(findings)} checks failed."
        )
    if not errors:
        return OK
    return UNREACHABLE if all(isinstance(error, NetworkError) for error in errors) else CONFIG


def _loops(settings: Settings, adapters: Adapters, catalog: Catalog) -> list[Finding]:
    """As the starts of `run scheduler` and, where somebody chose a road, of `run events` do."""
    found = [_asked("cron", lambda: check_crontab(settings, catalog))]
    if {"listen", "channels", "inbox", "group"} & settings.events.model_fields_set:
        found.append(_asked("events in", lambda: check_listeners(settings, adapters, catalog)))
    return found


def _asked(name: str, check: Callable[[], str]) -> Finding:
    """Not asked when every worker starts: it may be the very one that is missing."""
    try:
        return Finding(name, check())
    except WorkerError as error:
        return failed(name, error)


def _job_types(settings: Settings, catalog: Catalog) -> Finding:
    """As the worker's start does: every job type has a handler that can be made."""
    try:
        check_handlers(settings, catalog)
    except ConfigError as error:
        return Finding("job types", error.message, error)
    without = left_out(settings)
    said = f" (without {', '.join(without)}: the {settings.ledger.backend} ledger can't write what it commits)"
    return Finding("job types", ", ".join(catalog.names()) + (said if without else ""))
