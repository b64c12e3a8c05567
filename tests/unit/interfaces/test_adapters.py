"""The container: chosen by settings, imported when used, refused when not built."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import providers

from src.application.catalog import Catalog
from src.application.outcome import Done, Outcome, Run
from src.application.ports.clock import Clock
from src.application.ports.queue import QueueConsumer, QueuePublisher
from src.application.ports.storage import Presigner
from src.domain.errors import ConfigError
from src.interfaces.wiring.adapters import CHOICES, Adapters, build, imported
from src.interfaces.wiring.assemble import PRESIGNING, Assembler, build_catalog
from src.interfaces.wiring.checks import check_data_dir
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.settings import Settings

ROOT = Path(__file__).resolve().parents[3]


class Unbound:
    """A type that no port is."""


@dataclass(frozen=True, slots=True)
class GoodHandler:
    """Asks for ports by their types."""

    publisher: QueuePublisher
    consumer: QueueConsumer
    clock: Clock
    often: int = 3
    seen: list[str] = field(default_factory=list)

    def handle(self, request: object, run: Run) -> Outcome:
        """Nothing to do."""
        return Done({"request": str(request), "job": run.job_id})


@dataclass(frozen=True, slots=True)
class LostHandler:
    """Asks for something that nobody has."""

    clock: Clock
    nothing: Unbound


class PlainHandler:
    """Not a dataclass."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"WORKER_DATA_DIR": str(tmp_path), "WORKER_QUEUE__BACKEND": "memory"})


@pytest.fixture
def adapters(settings: Settings) -> Adapters:
    return build(settings, Catalog(()))


def targets() -> list[str]:
    """Every "module:Name" that the container names."""
    made = Adapters.traverse(types=[providers.Singleton, providers.Callable])  # type: ignore[call-overload] # its stub
    found = {getattr(each.provides, "target", None) for each in made}
    return sorted(target for target in found if target)


@pytest.mark.parametrize("target", targets())
def test_every_name_in_the_container_exists(target: str) -> None:
    assert callable(imported(target))


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"WORKER_QUEUE__BACKEND": "kafka"}, "WORKER_QUEUE__BACKEND=kafka is not in this build yet"),
        ({"WORKER_DATABASE__URL": "mysql://u:canary@h/d"}, "there is no adapter for mysql"),
    ],
)
def test_an_adapter_that_is_not_built_is_refused_naming_those_that_are(environ: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        build(load(environ), Catalog(()))
    assert words in raised.value.message
    assert "sqlite" in str(raised.value) or "filesystem" in str(raised.value) or "database" in str(raised.value)
    assert "canary" not in str(raised.value)


def test_building_the_container_imports_no_adapter() -> None:
    script = (
        "import sys\n"
        "from src.application.catalog import Catalog\n"
        "from src.interfaces.wiring.adapters import build\n"
        "from src.interfaces.wiring.environment import load\n"
        "build(load({}), Catalog(()))\n"
        "heavy = {'sqlalchemy', 'av', 'boto3', 'redis', 'psycopg', 'rich', 'click', 'alembic', 'structlog'}\n"
        "ours = [name for name in sys.modules if name.startswith('src.infrastructure.')]\n"
        "print(sorted(heavy & set(sys.modules)), ours)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"


def test_only_the_chosen_adapter_is_imported(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from src.application.catalog import Catalog\n"
        "from src.interfaces.wiring.adapters import build\n"
        "from src.interfaces.wiring.environment import load\n"
        f"a = build(load({{'WORKER_DATA_DIR': {str(tmp_path)!r}, 'WORKER_QUEUE__BACKEND': 'memory'}}), Catalog(()))\n"
        "a.queue(), a.storage(), a.scratch()\n"
        "print('sqlalchemy' in sys.modules, 'src.infrastructure.db' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


def test_each_choice_offers_what_its_setting_accepts() -> None:
    accepted = {
        name: Settings.model_fields[name].annotation
        for name in ("queue", "ledger", "lock", "progress", "storage", "content", "search")
    }
    for setting, selector in CHOICES.items():
        name, _, field = setting.partition(".")
        choices = accepted[name].model_fields[field].annotation.__args__  # type: ignore[union-attr]
        assert set(selector.providers) <= set(choices)


def test_an_adapter_is_made_once(adapters: Adapters) -> None:
    assert adapters.queue() is adapters.queue()


def test_a_handler_is_filled_by_the_types_of_its_fields(adapters: Adapters) -> None:
    handler = Assembler(adapters).make(f"{__name__}:GoodHandler")
    assert isinstance(handler, GoodHandler)
    assert handler.publisher is adapters.queue()
    assert handler.consumer is adapters.queue()
    assert handler.clock is adapters.clock()
    assert (handler.often, handler.seen) == (3, [])


def test_an_unbound_port_is_named(adapters: Adapters) -> None:
    with pytest.raises(ConfigError, match=r"LostHandler asks for unbound ports \(nothing: Unbound\)"):
        Assembler(adapters).make(f"{__name__}:LostHandler")


def test_a_handler_that_is_no_dataclass_is_refused(adapters: Adapters) -> None:
    with pytest.raises(ConfigError, match="is not a dataclass"):
        Assembler(adapters).make(f"{__name__}:PlainHandler")


def test_a_job_module_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no\.such\.module"):
        build_catalog(load({"WORKER_JOBS__MODULES": "no.such.module"}))


@pytest.mark.parametrize(
    ("text", "said"),
    [("def broken(:\n", "SyntaxError"), ("import no_such_thing\n", "no_such_thing"), ("1 / 0\n", "division")],
)
def test_a_job_module_that_breaks_when_imported_is_refused(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_jobs.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=said) as refused:
        build_catalog(load({"WORKER_JOBS__MODULES": "broken_jobs"}))
    assert refused.value.fix is not None
    assert "python -c 'import broken_jobs'" in refused.value.fix


def test_a_handler_whose_annotations_name_nothing_is_refused(
    adapters: Adapters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_typed.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n"
        "@dataclass\nclass Half:\n    storage: Storage\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"half_typed:Half can't be imported: NameError.*Storage"):
        Assembler(adapters).make("half_typed:Half")


def test_a_job_module_without_job_types_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no JOB_TYPES"):
        build_catalog(load({"WORKER_JOBS__MODULES": "src.domain.ids"}))


def test_a_missing_package_is_named_with_what_to_install() -> None:
    with pytest.raises(ConfigError, match="there is no module no_such_package"):
        imported("no_such_package.module:Thing")


def test_a_file_in_the_place_of_the_data_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = load({"WORKER_DATA_DIR": str(tmp_path / "file" / "data")})
    with pytest.raises(ConfigError, match=r"file is a file \(set WORKER_DATA_DIR to a folder\)"):
        check_data_dir(settings, build(settings, build_catalog(settings)))


@dataclass(frozen=True)
class HandsOut:
    """Needs addresses."""

    addresses: Presigner


@dataclass(frozen=True)
class MayHandOut:
    """Does without."""

    addresses: Presigner | None = None


def test_temporary_addresses_come_from_a_storage_that_has_them() -> None:
    bucket = {"WORKER_STORAGE__BACKEND": "s3", "WORKER_STORAGE__BUCKET": "b", "WORKER_STORAGE__REGION": "eu-west-1"}
    for name in ("HandsOut", "MayHandOut"):
        adapters = build(load(bucket), Catalog(()))
        handler: Any = Assembler(adapters).make(f"{__name__}:{name}")
        assert handler.addresses is adapters.storage()
    others = set(CHOICES["storage.backend"].providers) - PRESIGNING
    assert others
    for backend in others:
        assert not hasattr(build(load({"WORKER_STORAGE__BACKEND": backend}), Catalog(())).storage(), "presign_get")


def test_a_handler_that_needs_addresses_is_refused_where_there_are_none(adapters: Adapters) -> None:
    with pytest.raises(ConfigError, match="addresses: Presigner, which storage filesystem is not"):
        Assembler(adapters).make(f"{__name__}:HandsOut")
    without: Any = Assembler(adapters).make(f"{__name__}:MayHandOut")
    assert without.addresses is None
