"""Titles in Korean and English made of known words, and queries whose answers follow from how the titles were made."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

KOREAN = [
    "포커",
    "대회",
    "결승",
    "세계",
    "챔피언",
    "블러프",
    "토너먼트",
    "하이라이트",
    "홍진호",
    "임요환",
    "장경환",
    "강의",
    "초보",
    "전략",
    "라운드",
    "예선",
    "올인",
    "현장",
    "인터뷰",
    "다큐멘터리",
    "전설",
    "카지노",
    "라스베이거스",
    "마카오",
    "제주",
    "서울",
    "국제",
    "선수",
    "우승",
    "상금",
    "딜러",
    "승부",
    "심리",
    "역전",
    "명장면",
    "해설",
]
ENGLISH = [
    "tournament",
    "championship",
    "highlights",
    "bluff",
    "final",
    "table",
    "negreanu",
    "hellmuth",
    "strategy",
    "beginner",
    "interview",
    "documentary",
    "legend",
    "casino",
    "vegas",
    "macau",
    "river",
    "flush",
    "straight",
    "dealer",
    "winner",
    "million",
    "comeback",
    "lecture",
    "series",
    "champion",
    "commentary",
    "festival",
    "qualifier",
]
PARTICLES = ("", "", "", "의", "에서", "와", "까지", "은")


@dataclass(frozen=True, slots=True)
class Asked:
    """`answers`: ids of all documents in which the words that were meant are."""

    kind: str
    text: str
    answers: frozenset[str]


def corpus(count: int, dice: random.Random) -> tuple[list[dict[str, object]], dict[str, frozenset[str]]]:
    """Documents, and {id: words that were put into it}."""
    documents: list[dict[str, object]] = []
    inside: dict[str, frozenset[str]] = {}
    for number in range(count):
        korean, english = dice.sample(KOREAN, dice.randint(2, 4)), dice.sample(ENGLISH, dice.randint(2, 4))
        # Korean writes some words together, and puts particles behind nouns.
        together = ["".join(korean[:2]), *korean[2:]] if dice.random() < 0.4 else korean
        title = [word + dice.choice(PARTICLES) for word in together]
        year = dice.randint(2005, 2025)
        content_id = f"c-{number}"
        documents.append(
            {
                "id": content_id,
                "title": " ".join([*title, *(word.capitalize() for word in english[:2])]),
                "description": f"{year}년 " + " ".join(english[2:]),
                "year": year,
                "brand": dice.choice(("WSOP", "WPT", "EPT")),
                "view_count": dice.randint(0, 10**6),
            }
        )
        inside[content_id] = frozenset((*korean, *english))
    return documents, inside


def queries(inside: dict[str, frozenset[str]], dice: random.Random) -> list[Asked]:
    """Every kind of query, for every word it can be made of."""

    def with_all(*words: str) -> frozenset[str]:
        return frozenset(each for each, there in inside.items() if set(words) <= there)

    def begun(start: str, among: list[str]) -> frozenset[str]:
        return frozenset().union(*(with_all(word) for word in among if word.startswith(start)))

    made = [
        Asked("Korean, two syllables" if len(word) == 2 else "Korean, longer", word, with_all(word)) for word in KOREAN
    ]
    made += [Asked("Korean, a beginning", word[:2], begun(word[:2], KOREAN)) for word in KOREAN if len(word) > 3]
    made += [Asked("Korean, a letter wrong", slip(word, dice), with_all(word)) for word in KOREAN if len(word) > 2]
    made += [Asked("English", word, begun(word, ENGLISH)) for word in ENGLISH]
    made += [Asked("English, a beginning", word[:4], begun(word[:4], ENGLISH)) for word in ENGLISH]
    made += [
        Asked("English, a letter wrong", typo(word, dice), begun(word, ENGLISH)) for word in ENGLISH if len(word) > 4
    ]
    pairs = [(dice.choice(KOREAN), dice.choice(ENGLISH)) for _ in range(40)]
    made += [
        Asked("Korean and English", f"{one} {other}", with_all(one) & begun(other, ENGLISH)) for one, other in pairs
    ]
    return made


def slip(word: str, dice: random.Random) -> str:
    """Another vowel in one syllable that is not the first: 챔피언 as 챔피온."""
    letters = list(unicodedata.normalize("NFD", word))
    places = [place for place, letter in enumerate(letters) if "\u1161" <= letter <= "\u1175" and place > 2]
    at = dice.choice(places)
    letters[at] = dice.choice([vowel for vowel in map(chr, range(0x1161, 0x1176)) if vowel != letters[at]])
    return unicodedata.normalize("NFC", "".join(letters))


def typo(word: str, dice: random.Random) -> str:
    """One letter left out, doubled, exchanged for its neighbour in the alphabet, or two that changed places; not the first."""
    at = dice.randrange(1, len(word) - 1)
    kinds: tuple[Callable[[], str], ...] = (
        lambda: word[:at] + word[at + 1 :],
        lambda: word[:at] + word[at] + word[at:],
        lambda: word[:at] + chr((ord(word[at]) - 96) % 26 + 97) + word[at + 1 :],
        lambda: word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    )
    return dice.choice(kinds)()
