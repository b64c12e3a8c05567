"""The search index from the settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from src.domain.errors import ConfigError
from src.infrastructure.search.embedded import EmbeddedSearchIndex
from src.infrastructure.search.meili import MeiliSearchIndex
from src.interfaces.cli.search import filters_of, sort_of
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.assemble import build_catalog, check_handlers
from src.interfaces.wiring.environment import load

MEILI = {"WORKER_SEARCH__BACKEND": "meilisearch", "WORKER_SEARCH__URL": "http://search.test:7700/"}
KEY = "meili-key-which-is-secret"


def test_the_embedded_index_is_a_file_of_the_data_directory(tmp_path: Path) -> None:
    settings = load({"WORKER_DATA_DIR": str(tmp_path), "WORKER_SEARCH__INDEX": "films"})
    index = build(settings, build_catalog(settings)).search()
    assert isinstance(index, EmbeddedSearchIndex)
    assert index.path == tmp_path / "search-films.db"


def test_meilisearch_gets_address_name_key_and_patience() -> None:
    settings = load({**MEILI, "WORKER_SEARCH__API_KEY": KEY, "WORKER_SEARCH__TIMEOUT_SECONDS": "3"})
    index = build(settings, build_catalog(settings)).search()
    assert isinstance(index, MeiliSearchIndex)
    assert (index.url, index.name, index.timeout_seconds) == ("http://search.test:7700", "contents", 3.0)
    assert index.api_key == KEY
    assert KEY not in repr(index) + repr(settings)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"WORKER_SEARCH__BACKEND": "meilisearch"}, "needs WORKER_SEARCH__URL"),
        ({**MEILI, "WORKER_SEARCH__URL": "search.test:7700"}, "http"),
        ({**MEILI, "WORKER_SEARCH__URL": "http://user:word@search.test"}, "without a login"),
        ({"WORKER_SEARCH__INDEX": "a b"}, "WORKER_SEARCH__INDEX: 'a b' is no name of an index: 1 to 80 letters"),
        ({"WORKER_SEARCH__BACKEND": "elastic"}, "embedded"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environ: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(environ)
    assert said in str(refused.value)
    assert "word@" not in str(refused.value)


def test_the_index_handler_can_be_made_and_nothing_of_the_server_is_imported_for_it(tmp_path: Path) -> None:
    program = f"""
import sys
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.assemble import Assembler, build_catalog
from src.interfaces.wiring.environment import load
settings = load({{"WORKER_DATA_DIR": {str(tmp_path)!r}}})
catalog = build_catalog(settings)
Assembler(build(settings, catalog)).make(catalog.get("index").handler)
print([name for name in ("meilisearch", "requests", "tantivy") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3]
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_client_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("src.infrastructure.search.meili", "src.infrastructure.search.meili_errors"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "meilisearch", None)
    settings = load(MEILI)
    adapters = build(settings, build_catalog(settings))
    assert check_handlers(settings, build_catalog(settings)), "asking for the handlers imports no adapter"
    with pytest.raises(ConfigError, match="meilisearch"):
        adapters.search()


def test_options_of_the_command() -> None:
    assert filters_of(["year=2024", "brand=a=b", "year=2023"]) == {"year": ["2024", "2023"], "brand": ["a=b"]}
    assert [(each.field, each.descending) for each in map(sort_of, ("year", "year:asc", "year:desc"))] == [
        ("year", False),
        ("year", False),
        ("year", True),
    ]
