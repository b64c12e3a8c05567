"""docs/content-in-production.md: what is there to copy can be loaded, and names what exists."""

from __future__ import annotations

import configparser
import inspect
import json
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from src.application.catalog import Catalog
from src.application.decoders.decoded import Requests
from src.application.decoders.registry import Decoders
from src.application.decoders.settings import DecoderSettings
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.environment import load

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/content-in-production.md").read_text()
WORKERS = ("content", "scheduler", "events", "recovery")
VERSIONS = ROOT / "src/infrastructure/db/migrations/versions"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def variables(block: str) -> Mapping[str, str]:
    lines = [line.partition("=") for line in block.splitlines()]
    assert all(re.fullmatch(r"WORKER_[A-Z_]+", name) and value and " #" not in value for name, _, value in lines)
    return {name: value for name, _, value in lines}


ALONE, BOTH = map(variables, blocks("env"))


@pytest.mark.parametrize(
    ("environ", "ledger", "database"), [(ALONE, "redis", "sqlite:"), (BOTH, "database", "postgresql:")]
)
def test_the_environments_are_settings_that_go_together(environ: Mapping[str, str], ledger: str, database: str) -> None:
    settings = load(environ)
    assert (settings.queue.backend, settings.ledger.backend) == ("redis", ledger)
    assert settings.database_url.startswith(database)
    catalog = build_catalog(settings)
    assert isinstance(catalog, Catalog)
    assert {"thumbnail", "metadata", "index", "cleanup", "cache_warm", "daily_statistics"} <= set(catalog.names())
    adapters = build(settings, catalog)
    assert adapters.outbox()
    assert adapters.lock()
    assert adapters.progress()


def module_of(command: list[str]) -> str:
    program, flag, name = command[:3]
    assert (Path(program).name, flag) == ("python", "-m")
    assert (ROOT / (name.replace(".", "/") + ".py")).is_file()
    return name


def test_the_compose_file_starts_the_image_as_it_is() -> None:
    (text,) = blocks("yaml")
    found: dict[str, Any] = yaml.safe_load(text)
    services = found["services"]
    assert set(services) == {"upgrade", *WORKERS}
    recipe = (ROOT / "Dockerfile.worker").read_text()
    assert json.loads(re.findall(r"^ENTRYPOINT (.*)", recipe, re.MULTILINE)[0])[-1] == "--", (
        "a command is what tini starts"
    )
    for name, service in services.items():
        assert f"-t {service['image']} " in recipe
        module = module_of(service["command"])
        assert module == ("src.interfaces.cli.app" if name == "upgrade" else f"src.interfaces.workers.{name}.main")
        load({**BOTH, **service["environment"]})
        for other in service.get("depends_on", {}):
            assert other in services
        for volume in service.get("volumes", ()):
            source, target, *_how = volume.split(":")
            assert source.startswith("/") or source in found["volumes"]
            assert target in {BOTH["WORKER_DATA_DIR"], BOTH["WORKER_CONTENT__MEDIA_ROOT"]}
    patience = int(services["content"]["stop_grace_period"].removesuffix("s"))
    assert patience > load(BOTH).shutdown.grace_seconds


def test_the_unit_starts_every_process() -> None:
    (text,) = blocks("ini")
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    assert set(unit.sections()) == {"Unit", "Service", "Install"}
    service = unit["Service"]
    for name in WORKERS:
        assert module_of(service["ExecStart"].replace("%i", name).split()).endswith(f".{name}.main")
    assert int(service["TimeoutStopSec"]) > load(BOTH).shutdown.grace_seconds
    for line in re.findall(r"^Environment=(.*)", text, re.MULTILINE):
        load(dict([line.split("=", 1)]))


def test_the_messages_are_jobs() -> None:
    found = re.findall(r'\{"id": "[^%\n]*?\}\}', PAGE)
    assert len(found) == 2
    settings = load(ALONE)
    decoders = Decoders(build_catalog(settings), DecoderSettings())
    for message in found:
        decoded = decoders.decode(message.encode(), {})
        assert isinstance(decoded, Requests)
        assert [draft.type in {"thumbnail", "index"} for draft in decoded.drafts] == [True]


def migrations() -> list[ModuleType]:
    return [
        import_module(f"src.infrastructure.db.migrations.versions.{path.stem}")
        for path in sorted(VERSIONS.glob("0*.py"))
    ]


@pytest.mark.parametrize("migration", migrations(), ids=lambda module: module.revision)
def test_a_migration_takes_nothing_from_workers_of_the_version_before(migration: ModuleType) -> None:
    """As the page says. One that has to, changes the page and says so in its release."""
    source = inspect.getsource(migration)
    upward = source.replace(inspect.getsource(migration.downgrade), "")
    assert set(re.findall(r"op\.((?:drop|alter|rename)_\w+)", upward)) <= {"drop_index"}
    assert not re.findall(r"DROP (?:TABLE|COLUMN|FUNCTION)|ALTER COLUMN|RENAME", upward)
    assert not re.search(r"add_column\([^\n]*nullable=False(?![^\n]*server_default)", upward)
