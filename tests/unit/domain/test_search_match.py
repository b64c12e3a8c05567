"""Which words fit which, and which must not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from src.domain.search.document import FIELDS, document_of
from src.domain.search.match import Asked, fit
from src.domain.search.values import all_of, same, sorted_by
from src.domain.search.words import MOST_WORDS, field_words, spelled, syllables, words


def how(asked: str, word: str) -> float:
    return fit(spelled(asked), spelled(word))


@pytest.mark.parametrize(
    ("asked", "word", "expected"),
    [
        ("poker", "Poker", 1.0),
        ("포커", "포커", 1.0),
        ("pok", "poker", 0.9),
        ("준호", "준호의", 0.9),
        ("2", "2024", 0.9),
        ("포커", "세계포커대회", 0.8),
        ("pokre", "poker", 0.7),
        ("pokker", "poker", 0.7),
        ("poer", "poker", 0.0),
        ("negraenu", "negreanu", 0.7),
        ("negraneu", "negreanu", 0.0),
        ("championshop", "championships", 0.7),
        ("chempionshop", "championships", 0.5),
        ("챔피온", "챔피언", 0.7),
        ("챔피온십", "챔피언쉽", 0.0),
        ("하일라이트", "하이라이트를", 0.7),
        ("Muller", "Müller", 1.0),
        ("ＷＳＯＰ", "wsop", 1.0),
    ],
)
def test_words_that_fit(asked: str, word: str, expected: float) -> None:
    assert how(asked, word) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ("oker", "poker"),
        ("doker", "poker"),
        ("poker", "pok"),
        ("2023", "2024"),
        ("20240", "2024"),
        ("가", "각"),
        ("사자", "사장"),
        ("커", "포커"),
        ("한국", "한극"),
        ("포커", "poker"),
    ],
)
def test_words_that_do_not(asked: str, word: str) -> None:
    assert how(asked, word) == 0.0


def test_scripts_and_signs_part_words() -> None:
    assert words("WSOP메인이벤트, 2024년! main_event") == [
        *map(spelled, ("wsop", "메인이벤트", "2024", "년", "main", "event"))
    ]
    assert words("... —") == []
    assert len(words("a " * (MOST_WORDS + 9))) == MOST_WORDS
    assert field_words(["홍진호", None, 7]) == [spelled("홍진호"), "7"]
    assert field_words(None) == []


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_is_found_by_its_own_words(text: str) -> None:
    found = words(text)
    assert Asked(found).score({"title": found}) > 0
    assert all(word == spelled(word) and fit(word, word) == 1.0 for word in found)
    assert all(syllables(word) >= 0 for word in found)


def test_every_word_has_to_fit_and_the_title_weighs_more() -> None:
    asked = Asked(words("poker 결승"))
    assert not asked.score({"title": words("poker"), "description": words("예선")})
    title = asked.score({"title": words("poker 결승"), "description": []})
    description = asked.score({"title": [], "description": words("poker 결승")})
    assert title > description > 0


def test_filters_know_numbers_by_their_texts() -> None:
    assert same(2024) == same("2024") == same(2024.0) == same(" 2024 ")
    assert same("WSOP") == same("wsop")
    assert same(True) == same("True") != same(1)
    assert same(1.5) == "1.5"
    assert same("9" * 5000) == "9" * 5000, "too long for a number: as it stands"
    assert all_of(["a", None, "B"]) == ["a", "b"]
    assert all_of(None) == []


def test_sorting_puts_what_has_no_value_last_either_way() -> None:
    rows: list[dict[str, object]] = [{"v": None}, {"v": 2}, {"v": "x"}, {"v": 1.5}, {"v": True}, {}]
    for descending, expected in ((False, [1.5, 2, "x"]), (True, ["x", 2, 1.5])):
        done = sorted_by(rows, [(lambda row: row.get("v"), descending)])
        assert [row.get("v") for row in done[:3]] == expected
        assert done[3:] == [rows[0], rows[4], rows[5]]


def test_a_document_has_what_may_be_seen_and_nothing_that_is_not_there() -> None:
    record = {
        "id": "1",
        "file_path": "raw/secret.mkv",
        "title": "T",
        "year": None,
        "created_at": "2025-01-01T00:00:00Z",
    }
    assert document_of(record) == {"id": "1", "title": "T", "created_at": 1_735_689_600.0}
    assert document_of({"id": "1", "created_at": "2025-01-01T09:00:00+09:00"})["created_at"] == 1_735_689_600.0
    assert document_of({"id": "1", "created_at": "2025-01-01T00:00:00"})["created_at"] == 1_735_689_600.0
    assert document_of({"id": "1", "created_at": "last spring"})["created_at"] == "last spring"
    assert "file_path" not in FIELDS
