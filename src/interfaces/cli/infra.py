"""`mediaworker infra`: the files of the Batch road, checked, compared with an account, registered."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import src
from src.application.infra.register import Action, Registration, Step
from src.application.infra.road import Road, read_road
from src.application.ports.infrastructure import Shapes
from src.domain.errors import ConfigError
from src.domain.infra.placeholders import VARIABLES, how_to_give
from src.infrastructure.clock import SystemClock
from src.infrastructure.observability.redaction import one_line
from src.interfaces.cli.errors import CONFIG, OK
from src.interfaces.cli.output import json_option, print_json
from src.interfaces.wiring.adapters import imported
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.settings import Settings

if TYPE_CHECKING:
    from src.infrastructure.aws.setup import AwsSetup

ENVIRONMENT = "INFRA_"
"""Before a placeholder's name: the variable that holds its value."""

FILES = Path(src.__file__ or "").resolve().parents[1] / "scripts" / "infra"
"""Where the project keeps them. An installed package holds none: there --files names a copy."""


@click.group()
def infra() -> None:
    """AWS Batch: compute environment, queue, job definition, roles.

    Files hold ${NAME} where accounts differ; --set NAME=VALUE or INFRA_NAME fills it in. REGION, BUCKET and PREFIX are
    by default those of the worker's settings.
    """


def road_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--files` and `--set`."""
    files = click.option(
        "--files",
        type=click.Path(path_type=Path, file_okay=False),
        default=FILES,
        show_default="scripts/infra of the project",
        help="Folder with batch/, sqs/ and iam/.",
    )
    values = click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="Value of a placeholder.")
    return files(values(json_option(command)))


@infra.command()
@road_options
def validate(files: Path, given: Sequence[str], as_json: bool) -> int:
    """Check every file by AWS's own rules and by ours. Asks nobody."""
    road, _settings, _values = _road(files, given)
    if as_json:
        problems = [{"file": p.file, "path": p.path, "problem": p.text, "fix": p.fix or None} for p in road.problems]
        print_json({"ok": not problems, "files": list(road.files), "problems": problems})
    else:
        for problem in road.problems:
            click.echo(f"FAIL  {one_line(str(problem))}")
            if problem.fix:
                click.echo(f"      fix: {one_line(problem.fix)}")
        count = len(road.problems)
        said = f"{_plural(count, 'problem')} in" if count else "Nothing is wrong with"
        click.echo(f"{said} {_plural(len(road.files), 'file')}, {_plural(len(road.resources), 'resource')}.")
    return CONFIG if road.problems else OK


@infra.command()
@road_options
def plan(files: Path, given: Sequence[str], as_json: bool) -> None:
    """Show what would be created, what changed field by field, what is equal. Writes nothing."""
    road, settings, values = _road(files, given)
    road.sound()
    with closing(_setup(settings, values)) as setup:
        steps = Registration(setup, SystemClock()).plan(road)
    _show(steps, as_json, "would be ")


@infra.command()
@road_options
def register(files: Path, given: Sequence[str], as_json: bool) -> None:
    """Create or change what differs, then read all of it back and compare. Safe to repeat."""
    road, settings, values = _road(files, given)
    road.sound()
    told = (lambda _step: None) if as_json else (lambda step: _line(step, ""))
    with closing(_setup(settings, values)) as setup:
        steps = Registration(setup, SystemClock(), told=told).register(road)
    if as_json:
        _show(steps, as_json, "")
    else:
        _total(steps, "")


def _plural(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _road(folder: Path, given: Sequence[str]) -> tuple[Road, Settings, Mapping[str, str]]:
    settings = load()
    values = _values(settings, given, os.environ)
    shapes: Shapes = imported("src.infrastructure.aws.shapes:BotocoreShapes")()
    return read_road(_texts(folder), values, shapes), settings, values


def _texts(folder: Path) -> dict[str, str]:
    """{file below the folder: its text}. Raises ConfigError."""
    paths = sorted(path for part in ("batch", "sqs", "iam") for path in (folder / part).glob("*.json"))
    if not paths:
        raise ConfigError(
            f"no files in {folder}/batch, {folder}/sqs and {folder}/iam", fix="name the folder with --files"
        )
    try:
        return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in paths}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read the files in {folder}: {error}", fix="they are JSON in UTF-8") from error


def _values(settings: Settings, given: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """The worker's own settings, then the environment, then the command line."""
    values = {"REGION": settings.aws.region, "BUCKET": settings.storage.bucket, "PREFIX": settings.storage.prefix}
    values |= {name: environ.get(ENVIRONMENT + name, values.get(name)) for name in VARIABLES}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--set {pair}: write NAME=VALUE")
        values[name] = value
    return {name: value for name, value in values.items() if value is not None and (value or name == "PREFIX")}


def _setup(settings: Settings, values: Mapping[str, str]) -> AwsSetup:
    """Raises ConfigError when it is not clear where to."""
    for name in ("ACCOUNT_ID", "REGION"):
        if name not in values:
            raise ConfigError(f"{name} has no value: {VARIABLES[name].meaning}", fix=how_to_give(name))
    make = imported("src.infrastructure.aws.setup:AwsSetup")
    setup: AwsSetup = make(region=values["REGION"], endpoint_url=settings.aws.endpoint_url)
    setup.check(values["ACCOUNT_ID"])
    return setup


def _show(steps: Sequence[Step], as_json: bool, mood: str) -> None:
    if as_json:
        print_json({"resources": [_document(step) for step in steps], **_counts(steps)})
        return
    for step in steps:
        _line(step, mood)
    _total(steps, mood)


def _line(step: Step, mood: str) -> None:
    click.echo(f"{step.action.value:<7} {step.resource.kind.value:<20} {step.resource.name}  ({step.resource.file})")
    for change in step.changes:
        click.echo(f"        {one_line(str(change))}")
    if step.note:
        click.echo(f"        {'now' if mood else 'was'}: {one_line(step.note)}")


def _total(steps: Sequence[Step], mood: str) -> None:
    counts = _counts(steps)
    words = [f"{counts['create']} {mood}created", f"{counts['change']} {mood}changed", f"{counts['equal']} equal"]
    click.echo(f"{', '.join(words)}." + ("" if mood else " Read back: all as in the files."))


def _counts(steps: Sequence[Step]) -> dict[str, int]:
    return {action.value: sum(step.action is action for step in steps) for action in Action}


def _document(step: Step) -> dict[str, Any]:
    return {
        "kind": step.resource.kind.value,
        "name": step.resource.name,
        "file": step.resource.file,
        "action": step.action.value,
        "changes": [{"path": f"$.{one.path}", "found": one.found, "wanted": one.wanted} for one in step.changes],
        "note": step.note or None,
    }
