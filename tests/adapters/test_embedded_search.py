"""What only the embedded index has: one file, many processes, and any moment at which one of them may be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from src.application.ports.search import Query, SearchRefused, SearchUnavailable, Sort
from src.domain.errors import ConfigError
from src.infrastructure.memory.search import MemorySearchIndex
from src.infrastructure.search.embedded import BATCH, EmbeddedSearchIndex

FORK = multiprocessing.get_context("fork")
"""A process each, without a new interpreter: what is proved is the file's."""


def an_index(folder: Path, busy_seconds: float = 20.0) -> EmbeddedSearchIndex:
    return EmbeddedSearchIndex(path=folder / "search.db", busy_seconds=busy_seconds)


def film(name: str, title: str = "film") -> dict[str, object]:
    return {"id": name, "title": title, "year": 2024}


def ids(index: EmbeddedSearchIndex, text: str = "") -> set[str]:
    return {str(hit["id"]) for hit in index.search(Query(text=text, limit=1000))}


def tables(folder: Path) -> set[str]:
    with sqlite3.connect(folder / "search.db") as connection:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'documents_*'")
        return {name for (name,) in rows}


def write_many(folder: Path, worker: int, count: int) -> None:
    index = an_index(folder)
    for number in range(count):
        index.put([film(f"{worker}-{number}"), film("shared", f"by {worker}")])
        if number % 3 == 0:
            index.remove([f"{worker}-{number}"])


WORDS = st.sampled_from(
    ["포커", "세계포커대회", "챔피언", "챔피온", "메인이벤트", "결승의", "가", "각", "poker", "pokre", "Poke", "tournament",
     "tounament", "2024", "2023", "WSOP메인", "a", "né", "x1y2"]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=4).map(" ".join)
FILMS = st.fixed_dictionaries(
    {},
    optional={
        "title": TEXTS,
        "description": TEXTS,
        "players": st.lists(WORDS, max_size=2),
        "event_type": WORDS,
        "year": st.sampled_from([2023, 2024, "2024", None]),
        "brand": st.sampled_from(["WSOP", "wsop", "WPT", ["WPT", "EPT"]]),
        "view_count": st.sampled_from([1, 2.5, "many", None]),
    },
)
QUERIES = st.builds(
    Query,
    text=TEXTS,
    filters=st.dictionaries(
        st.sampled_from(["year", "brand"]), st.lists(st.sampled_from(["2024", "Wsop", "EPT"]), min_size=1)
    ),
    sort=st.lists(st.builds(Sort, st.sampled_from(["year", "view_count"]), st.booleans()), max_size=2),
    limit=st.integers(1, 5),
)


@given(st.lists(FILMS, max_size=6), st.lists(QUERIES, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_it_answers_like_the_index_that_looks_at_everything(
    films: list[dict[str, object]], queries: list[Query]
) -> None:
    """The one in memory is simple enough to be believed: what the tables look for must not lose anything."""
    documents = [{"id": str(number), **film} for number, film in enumerate(films)]
    memory = MemorySearchIndex()
    with tempfile.TemporaryDirectory() as folder:
        embedded = an_index(Path(folder))
        for index in (memory, embedded):
            index.put(documents)
            index.remove(["1"])
        for query in queries:
            assert list(embedded.search(query)) == list(memory.search(query))


def test_several_processes_make_the_file_and_write_at_once(tmp_path: Path) -> None:
    workers = [FORK.Process(target=write_many, args=(tmp_path, worker, 9)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    expected = {f"{worker}-{number}" for worker in range(4) for number in range(9) if number % 3}
    assert ids(an_index(tmp_path)) == expected | {"shared"}
    assert len(ids(an_index(tmp_path), "by")) == 1


def rebuild_and_die(folder: Path, step: str) -> None:
    with an_index(folder).rebuild() as build:
        build.add([film(f"new-{number}") for number in range(BATCH + 5)])
        if step == "built":
            os.kill(os.getpid(), signal.SIGKILL)
        build.publish()
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("step", ["built", "published"])
def test_a_process_killed_in_a_rebuild_leaves_one_whole_index(tmp_path: Path, step: str) -> None:
    index = an_index(tmp_path)
    index.put([film("old")])
    process = FORK.Process(target=rebuild_and_die, args=(tmp_path, step))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    found = ids(index)
    assert found == ({"old"} if step == "built" else {f"new-{number}" for number in range(BATCH + 5)})
    assert len(tables(tmp_path)) == 2, "its leavings"
    index.put([film("later")])
    assert ids(index) == found | {"later"}
    with index.rebuild() as build:
        build.add([film("whole")])
        assert len(tables(tmp_path)) == 2
        build.publish()
    assert ids(index) == {"whole"}
    assert len(tables(tmp_path)) == 1


def test_readers_see_the_old_index_or_the_new_one_and_never_a_part(tmp_path: Path) -> None:
    """One thread searches all the while; every answer is one of the whole indexes there were."""
    index = an_index(tmp_path)
    versions = [frozenset(f"{version}-{number}" for number in range(30)) for version in range(6)]
    index.put([film(name) for name in sorted(versions[0])])
    seen: list[frozenset[str]] = []
    stop, failures = threading.Event(), list[BaseException]()

    def read() -> None:
        try:
            while not stop.is_set():
                seen.append(frozenset(ids(an_index(tmp_path))))
                seen.append(frozenset(ids(an_index(tmp_path), "film")))
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for version in versions[1:]:
        with index.rebuild() as build:
            for name in sorted(version):
                build.add([film(name)])
            build.publish()
    stop.set()
    reader.join(60)
    assert failures == []
    assert set(seen) <= set(versions)
    order = [versions.index(each) for each in seen]
    assert order == sorted(order), "and never an older one again"


def test_a_file_that_somebody_holds_is_waited_for_and_then_tried_again_later(tmp_path: Path) -> None:
    index = an_index(tmp_path, busy_seconds=0.05)
    index.put([film("a")])
    holder = sqlite3.connect(tmp_path / "search.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(SearchUnavailable, match="locked"):
        index.put([film("b")])
    assert ids(index) == {"a"}, "readers do not wait"
    holder.execute("ROLLBACK")
    holder.close()
    index.put([film("b")])
    assert ids(index) == {"a", "b"}


@pytest.mark.parametrize("kind", ["no database", "other format", "other database"])
def test_a_file_that_is_none_of_ours_is_refused_with_what_to_do(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "search.db"
    if kind == "no database":
        path.write_bytes(b"certainly no database" * 100)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE t (a)")
            connection.execute(f"PRAGMA user_version={99 if kind == 'other format' else 0}")
    before = path.read_bytes()
    index = an_index(tmp_path)
    for call in (lambda: index.put([film("a")]), lambda: index.search(Query())):
        with pytest.raises(SearchRefused) as refused:
            call()
        assert "remove this file" in str(refused.value.fix)
    with pytest.raises(ConfigError):
        index.check()
    assert path.read_bytes() == before


def test_a_place_that_can_not_be_written_may_become_one_that_can(tmp_path: Path) -> None:
    index = an_index(tmp_path / "not" / "there")
    with pytest.raises(SearchUnavailable):
        index.put([film("a")])
    assert ids(index) == set()
    (tmp_path / "not" / "there").mkdir(parents=True)
    index.put([film("a")])
    assert ids(index) == {"a"}


@pytest.mark.parametrize("how", ["no byte", "a header"])
def test_a_file_that_another_process_is_just_making_is_empty_and_can_be_written(tmp_path: Path, how: str) -> None:
    path = tmp_path / "search.db"
    path.touch()
    if how == "a header":
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        assert path.stat().st_size
    index = an_index(tmp_path)
    assert (ids(index), index.check()) == (set(), [f"embedded at {path}, 0 documents"])
    index.put([film("a")])
    assert ids(index) == {"a"}


def test_looking_makes_no_file(tmp_path: Path) -> None:
    index = an_index(tmp_path)
    assert ids(index) == set()
    assert "empty so far" in index.check()[0]
    assert list(tmp_path.iterdir()) == []
    index.put([film("a")])
    assert index.check() == [f"embedded at {tmp_path / 'search.db'}, 1 documents"]


def test_a_document_that_is_no_json_takes_back_its_whole_batch(tmp_path: Path) -> None:
    index = an_index(tmp_path)
    with pytest.raises(SearchRefused, match="no JSON"):
        index.put([film("a"), {"id": "b", "view_count": float("nan")}])
    assert ids(index) == set()


@pytest.mark.parametrize("name", ["half \ud800", "\udfff"])
def test_an_id_that_is_not_valid_unicode_is_refused_like_any_other_text(tmp_path: Path, name: str) -> None:
    index = an_index(tmp_path)
    with pytest.raises(SearchRefused, match="no JSON"), index.rebuild() as build:
        build.add([film("a"), film(name)])


def test_an_old_python_is_told_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        def execute(self, _statement: str) -> None:
            raise sqlite3.OperationalError("no such tokenizer: trigram")

        def close(self) -> None:
            """Nothing."""

    monkeypatch.setattr(sqlite3, "connect", lambda *_given, **_named: Old())
    with pytest.raises(ConfigError, match="trigram") as refused:
        an_index(tmp_path).check()
    assert "FTS5" in str(refused.value.fix)
