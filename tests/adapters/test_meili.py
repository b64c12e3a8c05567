"""What only Meilisearch does: tasks that come later, its errors, its keys, its settings."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from meilisearch import Client

from src.application.ports.search import Query, SearchRefused, SearchUnavailable, Sort
from src.domain.errors import ConfigError, NetworkError
from src.infrastructure.search import meili
from src.infrastructure.search.meili import RULES, MeiliSearchIndex, batches, missing_settings
from tests.fakes.clock import FrozenClock
from tests.servers.meili import MASTER, SEARCH_KEY, MeiliServer
from tests.servers.meili_index import DEFAULT_SETTINGS

FILM = {"id": "a", "title": "A film", "year": 2024}


@pytest.fixture
def server() -> Iterator[MeiliServer]:
    made = MeiliServer().start()
    yield made
    made.close()


def an_index(server: MeiliServer, *, key: str | None = MASTER, **options: Any) -> MeiliSearchIndex:
    return MeiliSearchIndex(url=server.url, name="contents", api_key=key, clock=FrozenClock(), **options)


def ids(server: MeiliServer) -> list[str]:
    return sorted(server.indexes["contents"].documents)


# ------------------------------------------------------------------ the client and the stand-in
def test_the_official_client_understands_every_answer_of_the_stand_in(server: MeiliServer) -> None:
    """Its own methods, not ours: tasks and times are parsed by its models."""
    client = Client(server.url, MASTER)
    assert client.is_healthy()
    made = client.create_index("films", {"primaryKey": "id"})
    assert (made.status, made.type, made.index_uid) == ("enqueued", "indexCreation", "films")
    seen = [client.get_task(made.task_uid).status for _ in range(3)]
    assert seen == ["processing", "succeeded", "succeeded"]
    index = client.index("films")
    added = client.wait_for_task(index.add_documents([{"id": 1, "title": "One"}, {"id": "b", "title": "Two"}]).task_uid)
    assert added.details == {"receivedDocuments": 2, "indexedDocuments": 2}
    assert added.finished_at is not None
    assert client.get_index("films").primary_key == "id"
    assert set(index.get_settings()) == set(DEFAULT_SETTINGS)
    client.wait_for_task(index.update_settings({"filterableAttributes": ["year"]}).task_uid)
    assert index.get_settings()["filterableAttributes"] == ["year"]
    assert index.get_documents({"limit": 1}).total == 2
    assert index.search("two", {"matchingStrategy": "all"})["estimatedTotalHits"] == 1
    failed = client.wait_for_task(client.delete_index("nothing").task_uid)
    assert failed.error is not None
    assert failed.error["code"] == "index_not_found"
    assert [each.uid for each in client.get_indexes()["results"]] == ["films"]
    assert client.get_tasks({"limit": 1}).total == len(server.tasks)


# ------------------------------------------------------------------ tasks
def test_a_call_ends_when_its_task_has_succeeded_however_long_that_takes(server: MeiliServer) -> None:
    server.slow = 7
    index = an_index(server)
    index.put([FILM])
    assert all(task.status == "succeeded" for task in server.tasks)
    assert ids(server) == ["a"]


@pytest.mark.parametrize(
    ("code", "kind", "expected"),
    [
        ("invalid_document_id", "invalid_request", SearchRefused),
        ("index_not_found", "invalid_request", SearchUnavailable),
        ("no_space_left_on_device", "system", SearchUnavailable),
        ("database_size_limit_reached", "internal", SearchUnavailable),
        ("internal", "internal", SearchUnavailable),
    ],
)
def test_a_task_that_fails_is_an_error_with_its_reason(
    server: MeiliServer, code: str, kind: str, expected: type[Exception]
) -> None:
    index = an_index(server)
    index.put([FILM])
    server.failing.append(("documentAdditionOrUpdate", code, kind))
    with pytest.raises(expected, match=f"task .* failed, {code}: scripted"):
        index.put([{**FILM, "id": "b"}])
    index.put([{**FILM, "id": "b"}])
    assert ids(server) == ["a", "b"]


def test_an_id_that_the_server_does_not_take_is_refused_for_good(server: MeiliServer) -> None:
    with pytest.raises(SearchRefused, match="invalid_document_id"):
        an_index(server).put([{"id": "a:b", "title": "x"}])


def test_a_task_that_does_not_end_in_time_may_be_tried_again(server: MeiliServer) -> None:
    index = an_index(server, task_seconds=30)
    index.put([FILM])
    server.slow = 10**6
    with pytest.raises(SearchUnavailable, match="is processing after 30 s"):
        index.put([{**FILM, "id": "b"}])


def test_a_task_that_somebody_canceled_may_be_tried_again(server: MeiliServer) -> None:
    index = an_index(server)
    index.put([FILM])

    def cancel(_method: str, _path: str) -> None:
        server.tasks[-1].status = "canceled" if server.tasks[-1].status == "processing" else server.tasks[-1].status

    server.before = cancel
    with pytest.raises(SearchUnavailable, match="was canceled"):
        index.put([{**FILM, "id": "b"}])


# ------------------------------------------------------------------ answers and silences
def do(index: MeiliSearchIndex, call: str) -> None:
    match call:
        case "put":
            index.put([FILM])
        case "remove":
            index.remove(["a"])
        case "search":
            index.search(Query())
        case _:
            index.rebuild().__enter__()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            (503, {"message": "busy", "code": "too_many_search_requests", "type": "system"}),
            SearchUnavailable,
        ),
        ((502, b"<html>Bad Gateway</html>"), SearchUnavailable),
        ((429, {"message": "slow down"}), SearchUnavailable),
        ((200, b"<html>Welcome</html>"), SearchUnavailable),
        ((200, b""), SearchUnavailable),
        ((200, {"results": "?"}), SearchUnavailable),
        ((202, {"taskUid": 1}), SearchUnavailable),
        ((-1, None), SearchUnavailable),
        ((0, None), SearchUnavailable),
        ((413, {"message": "too much", "code": "payload_too_large", "type": "invalid_request"}), SearchRefused),
        ((400, {"message": "no", "code": "bad_request", "type": "invalid_request"}), SearchRefused),
        ((422, {"message": "full", "code": "no_space_left_on_device", "type": "system"}), SearchUnavailable),
    ],
)
@pytest.mark.parametrize("call", ["put", "remove", "search", "rebuild"])
def test_every_answer_has_its_meaning_in_every_call(
    server: MeiliServer, call: str, answer: tuple[int, Any], expected: type[Exception]
) -> None:
    index = an_index(server)
    index.put([FILM])
    server.answers.append(answer)
    with pytest.raises(expected) as caught:
        do(index, call)
    assert MASTER not in f"{caught.value!s} {caught.value!r}"
    index.put([FILM])
    assert ids(server) == ["a"]


def test_a_server_that_is_away_may_come_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    index = MeiliSearchIndex(url=url, name="contents", clock=FrozenClock())
    for call in (lambda: index.put([FILM]), lambda: index.search(Query()), index.check):
        with pytest.raises(SearchUnavailable) as caught:
            call()
        assert isinstance(caught.value, NetworkError)


def test_a_server_that_says_nothing_is_not_waited_for_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        index = MeiliSearchIndex(url=url, name="contents", clock=FrozenClock(), timeout_seconds=0.1)
        with pytest.raises(SearchUnavailable, match="Timeout"):
            index.search(Query())


def test_an_answer_that_was_lost_may_be_asked_for_again(server: MeiliServer) -> None:
    index = an_index(server)
    index.put([FILM])

    def cut(method: str, path: str) -> None:
        if (method, path.partition("?")[0]) == ("POST", "/indexes/contents/documents") and not server.answers:
            server.answers.append((0, None))
            server.before = lambda _method, _path: None

    server.before = cut
    with pytest.raises(SearchUnavailable):
        index.put([{**FILM, "id": "b"}])
    index.put([{**FILM, "id": "b"}])
    assert ids(server) == ["a", "b"]


# ------------------------------------------------------------------ the index itself
def test_the_index_is_made_with_our_fields_once(server: MeiliServer) -> None:
    index = an_index(server)
    index.put([FILM])
    index.put([FILM])
    made = server.indexes["contents"]
    assert made.primary_key == "id"
    assert made.settings["searchableAttributes"] == ["title", "description", "players", "event_type"]
    assert made.settings["filterableAttributes"] == ["year", "brand", "event_type", "quality"]
    assert made.settings["sortableAttributes"] == ["year", "created_at", "view_count"]
    assert made.settings["rankingRules"][0] == "sort"
    assert [task.type for task in server.tasks].count("settingsUpdate") == 1
    an_index(server).put([FILM])
    assert [task.type for task in server.tasks].count("settingsUpdate") == 1, "they are as they should be"


def test_settings_that_somebody_made_stay_through_a_rebuild(server: MeiliServer) -> None:
    index = an_index(server)
    index.put([FILM])
    settings = server.indexes["contents"].settings
    settings["synonyms"] = {"poker": ["holdem"]}
    settings["filterableAttributes"] = ["series_id", "year"]
    settings["rankingRules"] = ["words", "sort"]
    later = an_index(server)
    with later.rebuild() as build:
        build.add([{**FILM, "id": "b"}])
        build.publish()
    kept = server.indexes["contents"].settings
    assert kept["synonyms"] == {"poker": ["holdem"]}
    assert kept["filterableAttributes"] == ["series_id", "year", "brand", "event_type", "quality"]
    assert kept["rankingRules"] == ["words", "sort"]
    assert ids(server) == ["b"]
    assert sorted(server.indexes) == ["contents"], "nothing is left over"


def test_a_setting_that_can_not_be_read_is_not_lost_in_a_rebuild(server: MeiliServer) -> None:
    index = an_index(server)
    index.put([FILM])
    server.indexes["contents"].settings["embedders"] = {"default": {"source": "openAi", "apiKey": "XXX..."}}
    with pytest.raises(SearchRefused, match="embedders"), index.rebuild():
        pass
    assert sorted(server.indexes) == ["contents"]


def test_an_index_that_was_removed_comes_back_with_its_settings(server: MeiliServer) -> None:
    an_index(server).put([FILM])
    server.indexes.clear()
    assert list(an_index(server).search(Query(filters={"year": ["2024"]}, sort=[Sort("year")]))) == []
    index = an_index(server)
    index.put([FILM])
    assert [hit["id"] for hit in index.search(Query(filters={"year": ["2024"]}, sort=[Sort("year")]))] == ["a"]


def test_an_index_that_is_removed_while_a_worker_runs_comes_back_with_its_settings(server: MeiliServer) -> None:
    """A worker's process keeps one object for all its jobs."""
    index = an_index(server)
    by_year = Query(filters={"year": ["2024"]}, sort=[Sort("year")])
    index.put([FILM])
    server.indexes.clear()
    index.put([FILM])
    assert [hit["id"] for hit in index.search(by_year)] == ["a"]
    server.indexes.clear()
    with index.rebuild() as build:
        build.add([FILM])
        build.publish()
    assert [hit["id"] for hit in index.search(by_year)] == ["a"]


def test_two_workers_that_make_the_index_at_once_both_succeed(server: MeiliServer) -> None:
    def other(method: str, path: str) -> None:
        if (method, path) == ("POST", "/indexes"):
            server.before = lambda _method, _path: None
            an_index(server).put([{**FILM, "id": "b"}])

    server.before = other
    an_index(server).put([FILM])
    assert ids(server) == ["a", "b"]


def test_an_index_of_another_name_is_not_touched(server: MeiliServer) -> None:
    other = MeiliSearchIndex(url=server.url, name="contents2", api_key=MASTER, clock=FrozenClock())
    other.put([FILM])
    stays = other.rebuild()
    stays.__enter__()
    with an_index(server).rebuild() as build:
        build.publish()
    assert {each.partition("__")[0] for each in server.indexes} == {"contents", "contents2"}
    assert len(server.indexes) == 3


# ------------------------------------------------------------------ rebuilds
def test_a_swap_whose_answer_is_lost_leaves_one_whole_index(server: MeiliServer) -> None:
    index = an_index(server)
    index.put([FILM])

    def cut(_method: str, path: str) -> None:
        if path == "/swap-indexes":
            server.answers.append((0, None))
            server.before = lambda _method, _path: None

    server.before = cut
    with pytest.raises(SearchUnavailable), index.rebuild() as build:
        build.add([{**FILM, "id": "b"}])
        build.publish()
    assert ids(server) == ["b"]
    assert sorted(server.indexes) == ["contents"]


def test_a_swap_that_fails_leaves_the_index_as_it_was(server: MeiliServer) -> None:
    index = an_index(server)
    index.put([FILM])
    server.failing.append(("indexSwap", "internal", "internal"))
    with pytest.raises(SearchUnavailable), index.rebuild() as build:
        build.add([{**FILM, "id": "b"}])
        build.publish()
    assert ids(server) == ["a"]
    assert sorted(server.indexes) == ["contents"]


def test_what_can_not_be_cleaned_up_is_said_and_cleaned_up_the_next_time(
    server: MeiliServer, caplog: pytest.LogCaptureFixture
) -> None:
    index = an_index(server)
    index.put([FILM])

    def away(method: str, _path: str) -> None:
        if method == "DELETE":
            server.answers.append((503, {"message": "away"}))
            server.before = lambda _method, _path: None

    with caplog.at_level(logging.WARNING), index.rebuild() as build:
        build.publish()
        server.before = away
    assert [record.message for record in caplog.records] == ["search.left_over"]
    assert len(server.indexes) == 2
    with index.rebuild() as build:
        build.publish()
    assert sorted(server.indexes) == ["contents"]


# ------------------------------------------------------------------ requests
def test_documents_go_in_batches_by_number_and_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meili, "BATCH_DOCUMENTS", 3)
    monkeypatch.setattr(meili, "BATCH_BYTES", 200)
    small = [{"id": str(number)} for number in range(7)]
    assert [len(json.loads(each)) for each in batches(small)] == [3, 3, 1]
    large = [{"id": str(number), "title": "x" * 150} for number in range(2)]
    huge = {"id": "huge", "title": "y" * 1000}
    assert [len(json.loads(each)) for each in batches([*large, huge, small[0]])] == [1, 1, 1, 1]
    assert list(batches([])) == []


def test_what_is_no_json_is_refused_before_it_is_sent(server: MeiliServer) -> None:
    with pytest.raises(SearchRefused, match="no JSON"):
        an_index(server).put([{"id": "a", "view_count": float("nan")}])
    assert not [task for task in server.tasks if task.type == "documentAdditionOrUpdate"]


def test_a_filter_s_value_can_not_break_out_of_its_quotes(server: MeiliServer) -> None:
    index = an_index(server)
    index.put([FILM])
    index.search(Query(filters={"brand": ['a" OR year = 2024 OR brand = "b']}))
    *_, (_method, _path, _key, body) = server.seen
    assert json.loads(body)["filter"] == ['brand IN ["a\\" OR year = 2024 OR brand = \\"b"]']
    with pytest.raises(SearchRefused, match="backslash"):
        index.search(Query(filters={"brand": ["a\\"]}))


@pytest.mark.parametrize("found", [{}, DEFAULT_SETTINGS])
def test_settings_are_asked_for_as_far_as_they_are_missing(found: dict[str, Any]) -> None:
    wanted = missing_settings(found)
    assert set(wanted) == {"searchableAttributes", "filterableAttributes", "sortableAttributes", "rankingRules"}
    assert missing_settings({**found, **wanted}) == {}
    assert wanted["rankingRules"] == RULES


# ------------------------------------------------------------------ start-up
def test_the_check_says_where_the_index_is_and_changes_nothing(server: MeiliServer) -> None:
    assert an_index(server).check() == [f"Meilisearch at {server.url}, index contents"]
    assert (server.tasks, server.indexes) == ([], {})
    an_index(server).put([FILM])
    before = len(server.tasks)
    an_index(server).check()
    assert len(server.tasks) == before


def test_a_server_without_a_key_of_its_own_asks_for_none(server: MeiliServer) -> None:
    server.locked = False
    index = an_index(server, key=None)
    index.check()
    index.put([FILM])
    assert ids(server) == ["a"]


@pytest.mark.parametrize("key", ["wrong-key-0123456789", None])
def test_a_wrong_key_is_named_by_its_setting_and_never_shown(server: MeiliServer, key: str | None) -> None:
    index = an_index(server, key=key)
    with pytest.raises(ConfigError) as refused:
        index.check()
    assert "WORKER_SEARCH__API_KEY" in str(refused.value)
    with pytest.raises(SearchRefused) as denied:
        index.put([FILM])
    for text in (str(refused.value), str(denied.value), repr(index)):
        assert "wrong-key" not in text


def test_a_key_that_may_only_search_lacks_the_rest(server: MeiliServer) -> None:
    with pytest.raises(ConfigError, match=r"may not: documents\.add, documents\.delete") as refused:
        an_index(server, key=SEARCH_KEY).check()
    assert "search," not in str(refused.value)


@pytest.mark.parametrize("action", ["documents.add", "indexes.swap", "settings.update", "tasks.get", "indexes.create"])
def test_each_right_that_is_missing_is_named(server: MeiliServer, action: str) -> None:
    probes = set(an_index(server)._probes())
    server.keys["almost"] = frozenset(probes - {action})
    with pytest.raises(ConfigError) as refused:
        an_index(server, key="almost").check()
    assert f"may not: {action} (" in str(refused.value)
    server.keys["all"] = frozenset(probes)
    an_index(server, key="all").check()


def test_a_server_that_is_not_well_is_waited_for(server: MeiliServer) -> None:
    server.answers.append((200, {"status": "starting"}))
    with pytest.raises(SearchUnavailable, match="starting"):
        an_index(server).check()
