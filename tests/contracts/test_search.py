"""What every search index promises."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from src.application.ports.search import MOST_HITS, Query, SearchIndex, SearchRefused, SearchUnavailable, Sort
from src.domain.errors import InvalidPayload
from tests.contracts.backends.search import SEARCHES, SearchPlace

FILMS: Sequence[dict[str, Any]] = (
    {
        "id": "main",
        "title": "2024 WSOP 메인이벤트 하이라이트",
        "description": "Final table of the Main Event",
        "players": ["홍진호", "Daniel Negreanu"],
        "year": 2024,
        "brand": "WSOP",
        "event_type": "main_event",
        "quality": "4K",
        "view_count": 500,
        "created_at": 1_700_000_000.5,
    },
    {
        "id": "world",
        "title": "세계포커대회 결승",
        "description": "임요환의 블러프",
        "year": 2023,
        "brand": "WSOP",
        "quality": "HD",
        "view_count": 900,
        "created_at": 1_600_000_000,
    },
    {"id": "tour", "title": "World Poker Tour", "players": [], "year": 2024, "brand": "WPT", "view_count": 20},
    {"id": "bare", "title": None},
)


@pytest.fixture(params=sorted(SEARCHES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SearchPlace]:
    made: SearchPlace = SEARCHES[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def index(place: SearchPlace) -> SearchIndex:
    made = place.index()
    made.put(FILMS)
    return made


def ids(index: SearchIndex, text: str = "", **asked: Any) -> list[str]:
    return [hit["id"] for hit in index.search(Query(text=text, **asked))]


def test_an_index_that_nobody_wrote_to_is_empty_and_has_nothing_to_remove(place: SearchPlace) -> None:
    index = place.index()
    assert list(index.search(Query(text="wsop", sort=[Sort("year")], filters={"year": ["2024"]}))) == []
    index.remove(["main"])
    index.put([])
    index.remove([])
    assert ids(index) == []


def test_a_hit_is_the_document_as_it_was_put(index: SearchIndex) -> None:
    assert list(index.search(Query(text="메인이벤트"))) == [FILMS[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wsop", ["main"]),
        ("WSOP 2024", ["main"]),
        ("world", ["tour"]),
        ("wor po", ["tour"]),
        ("negreanu", ["main"]),
        ("negraenu", ["main"]),
        ("main_event", ["main"]),
        ("포커", ["world"]),
        ("블러프", ["world"]),
        ("임요환", ["world"]),
        ("메인이밴트", ["main"]),
        ("결승 포커", ["world"]),
        ("결승 tour", []),
        ("orld", []),
        ("2023", []),
        ("맨", []),
        ("wsop 😀", ["main"]),
        ("", ["bare", "main", "tour", "world"]),
        (" \t", ["bare", "main", "tour", "world"]),
        ("!?", []),
        ("😀", []),
        ("%", []),
        ("\\", []),
        ('"', []),
        ("_", []),
    ],
)
def test_words_are_found_whole_begun_inside_korean_ones_and_with_a_slip(
    index: SearchIndex, text: str, expected: list[str]
) -> None:
    assert sorted(ids(index, text)) == expected


def test_every_reader_sees_what_was_put_and_removed_when_the_call_returns(place: SearchPlace) -> None:
    writer, reader = place.index(), place.index()
    writer.put(FILMS)
    assert ids(reader, "tour") == ["tour"]
    reader.put([{"id": "tour", "title": "Something else"}])
    assert ids(writer, "tour") == []
    assert list(writer.search(Query(text="else"))) == [{"id": "tour", "title": "Something else"}]
    writer.remove(["tour", "unknown", "main"])
    writer.remove(["tour"])
    assert sorted(ids(reader)) == ["bare", "world"]


def test_the_same_id_twice_in_one_call_is_one_document(place: SearchPlace) -> None:
    index = place.index()
    index.put([{"id": "a", "title": "first"}, {"id": "a", "title": "second"}])
    assert list(index.search(Query())) == [{"id": "a", "title": "second"}]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"year": ["2024"]}, ["main", "tour"]),
        ({"year": ["2024", "2023"], "brand": ["wsop"]}, ["main", "world"]),
        ({"quality": ["4k"]}, ["main"]),
        ({"event_type": ["main_event"]}, ["main"]),
        ({"brand": ["EPT"]}, []),
        ({"brand": ['W"S', "o' OR brand = WSOP"]}, []),
    ],
)
def test_filters_take_one_of_several_values_in_any_case(
    index: SearchIndex, filters: dict[str, list[str]], expected: list[str]
) -> None:
    assert sorted(ids(index, filters=filters)) == expected


def test_a_filter_goes_with_words(index: SearchIndex) -> None:
    assert ids(index, "wor", filters={"brand": ["WPT"]}) == ["tour"]
    assert ids(index, "wor", filters={"brand": ["WSOP"]}) == []


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ([Sort("view_count")], ["tour", "main", "world", "bare"]),
        ([Sort("view_count", descending=True)], ["world", "main", "tour", "bare"]),
        ([Sort("year", descending=True), Sort("view_count")], ["tour", "main", "world", "bare"]),
        ([Sort("year"), Sort("view_count", descending=True)], ["world", "main", "tour", "bare"]),
        ([Sort("created_at"), Sort("year")], ["world", "main", "tour", "bare"]),
    ],
)
def test_sorted_hits_have_those_without_a_value_last(index: SearchIndex, sort: list[Sort], expected: list[str]) -> None:
    assert ids(index, sort=sort) == expected
    assert ids(index, sort=sort, limit=2) == expected[:2]


def test_an_order_that_was_asked_for_comes_before_how_well_a_hit_fits(place: SearchPlace) -> None:
    index = place.index()
    index.put(
        [
            {"id": "best", "title": "poker", "view_count": 1},
            {"id": "worse", "title": "pokers", "view_count": 3},
            {"id": "less", "description": "about poker", "view_count": 2},
        ]
    )
    assert ids(index, "poker")[0] == "best"
    assert ids(index, "poker", sort=[Sort("view_count", descending=True)]) == ["worse", "less", "best"]


@pytest.mark.parametrize(
    "asked",
    [
        {"filters": {"title": ["x"]}},
        {"text": "x" * 301},
        {"text": "\ud800"},
        {"filters": {"year": ["\udfff"]}},
        {"sort": [Sort("brand")]},
        {"limit": 0},
        {"limit": MOST_HITS + 1},
    ],
)
def test_a_query_by_what_is_not_indexed_for_it_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidPayload):
        Query(**asked)


def test_a_text_that_is_too_long_is_told_what_to_do() -> None:
    Query(text="x" * 300)
    with pytest.raises(InvalidPayload, match="more than 300 characters") as caught:
        Query(text="x" * 301)
    assert caught.value.fix == "ask for fewer words"


@pytest.mark.parametrize("document", [{"title": "x"}, {"id": "", "title": "x"}, {"id": 7}])
def test_a_document_without_an_id_is_refused(place: SearchPlace, document: dict[str, Any]) -> None:
    with pytest.raises(SearchRefused, match="id"):
        place.index().put([document])


def test_a_document_that_is_not_valid_unicode_is_refused_or_kept_and_harms_no_other(place: SearchPlace) -> None:
    index = place.index()
    with contextlib.suppress(SearchRefused):
        index.put([{"id": "half", "title": "half \ud800"}])
    index.put([{"id": "whole", "title": "whole"}])
    assert ids(index, "whole") == ["whole"]


def test_a_number_that_no_column_holds_is_a_number_all_the_same(place: SearchPlace) -> None:
    """JSON has no largest number, and an API's record may hold any. In a rebuild one such must not keep all others out."""
    index = place.index()
    films = [{"id": str(at), "title": "film", "view_count": 10**power} for at, power in enumerate((1, 15, 19, 40))]
    index.put(films)
    with index.rebuild() as build:
        build.add(films)
        build.publish()
    assert ids(index, sort=[Sort("view_count")])[:2] == ["0", "1"]
    assert len(ids(index)) == len(films)


@pytest.mark.parametrize(
    "text", ["a " * 150, "포커 " * 100, "가나다라마바사 " * 35, "x" * 300, '"' * 300, "* OR NEAR( a:b ^"]
)
def test_any_query_has_an_answer(index: SearchIndex, text: str) -> None:
    assert isinstance(ids(index, text), list)


# ------------------------------------------------------------------ rebuilds
def test_a_rebuild_is_seen_at_once_and_as_a_whole(place: SearchPlace, index: SearchIndex) -> None:
    reader = place.index()
    with index.rebuild() as build:
        build.add([{"id": "new", "title": "new", "year": 2001}, {"id": "gone", "title": "gone"}])
        build.add([{"id": "more", "title": "more", "year": 2000}])
        build.remove(["gone", "unknown"])
        assert sorted(ids(reader)) == ["bare", "main", "tour", "world"]
        build.publish()
        assert ids(reader, sort=[Sort("year")]) == ["more", "new"]
    assert ids(reader, filters={"year": ["2001"]}) == ["new"]
    index.put([{"id": "after", "title": "after"}])
    assert sorted(ids(reader)) == ["after", "more", "new"]


def test_a_rebuild_that_fails_changes_nothing(place: SearchPlace, index: SearchIndex) -> None:
    with pytest.raises(ZeroDivisionError), index.rebuild() as build:
        build.add([{"id": "new", "title": "new"}])
        raise ZeroDivisionError
    assert sorted(ids(place.index())) == ["bare", "main", "tour", "world"]


def test_an_empty_rebuild_empties_the_index(place: SearchPlace, index: SearchIndex) -> None:
    with index.rebuild() as build:
        build.publish()
    assert ids(place.index()) == []


def test_a_rebuild_of_an_index_that_was_never_there(place: SearchPlace) -> None:
    index = place.index()
    with index.rebuild() as build:
        build.add(FILMS)
        build.publish()
    assert ids(place.index(), sort=[Sort("view_count")]) == ["tour", "main", "world", "bare"]


def test_what_others_change_meanwhile_is_told(place: SearchPlace, index: SearchIndex) -> None:
    other = place.index()
    with index.rebuild() as build:
        assert list(build.changed()) == []
        build.add(FILMS)
        other.put([{"id": "main", "title": "newer"}, {"id": "fresh", "title": "fresh"}])
        other.remove(["tour"])
        assert sorted(build.changed()) == ["fresh", "main", "tour"]
        assert list(build.changed()) == []
        other.put([{"id": "main", "title": "newest"}])
        build.publish()
        other.put([{"id": "late", "title": "late"}])
        assert {"main"} <= set(build.changed()) <= {"main", "late"}
    assert ids(other, "late") == ["late"]


def test_the_newest_of_two_rebuilds_wins(place: SearchPlace, index: SearchIndex) -> None:
    with pytest.raises(SearchUnavailable, match="another rebuild"), index.rebuild() as older:
        older.add([{"id": "older", "title": "older"}])
        with place.index().rebuild() as newer:
            newer.add([{"id": "newer", "title": "newer"}])
            newer.publish()
        older.add([{"id": "late", "title": "late"}])
        older.publish()
    assert ids(index) == ["newer"]


def test_what_a_dead_rebuild_left_does_not_come_to_light(place: SearchPlace, index: SearchIndex) -> None:
    left = index.rebuild()
    left.__enter__().add([{"id": "half", "title": "half"}])
    assert sorted(ids(place.index())) == ["bare", "main", "tour", "world"]
    with place.index().rebuild() as build:
        build.add([{"id": "whole", "title": "whole"}])
        build.publish()
    assert ids(index) == ["whole"]


def test_what_is_removed_for_good_is_told_apart_by_what_was_last(place: SearchPlace, index: SearchIndex) -> None:
    other = place.index()
    with index.rebuild() as build:
        other.remove(["main", "unknown"], for_good=True)
        other.remove(["tour"])
        other.put([{"id": "world", "title": "newer"}])
        assert build.changed() == {"main": True, "unknown": True, "tour": False, "world": False}
        other.remove(["main"], for_good=True)
        other.put([{"id": "main", "title": "once more"}])
        other.put([{"id": "tour", "title": "once more"}])
        other.remove(["tour"], for_good=True)
        assert build.changed() == {"main": False, "tour": True}
        assert build.changed() == {}


def test_a_rebuild_that_is_shown_can_be_mended_and_tells_others_changes_alone(
    place: SearchPlace, index: SearchIndex
) -> None:
    other = place.index()
    with index.rebuild() as build:
        build.add([{"id": "a", "title": "old"}, {"id": "b", "title": "old"}])
        build.publish()
        build.add([{"id": "a", "title": "new"}])
        build.remove(["b", "unknown"])
        assert list(other.search(Query())) == [{"id": "a", "title": "new"}]
        assert build.changed() == {}
        other.remove(["a"], for_good=True)
        assert build.changed() == {"a": True}
    assert ids(other) == []
