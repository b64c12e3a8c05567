"""Text as words that can be compared: accents off, Hangul taken apart into its letters, scripts told apart."""

from __future__ import annotations

import re
import unicodedata

MOST_WORDS = 2_000
"""Of one field: a description is a few hundred words, and what is longer is no description."""

LONGEST_WORD = 120
"""Letters that are kept of one: nothing longer is a word, and every word is compared letter by letter."""

_LEADS, _TAILS = ("\u1100", "\u1112"), ("\u11a8", "\u11c2")
"""First letters and last letters of modern Hangul syllables, as Unicode takes them apart."""

_WORD = re.compile(r"[\u1100-\u11ff]+|\d+|[^\W\d_\u1100-\u11ff]+")
"""A run of Hangul letters, of digits, or of the letters of other scripts: `WSOP메인` and `2024년` are two words each."""


def spelled(text: str) -> str:
    """In small letters, without accents; each Hangul syllable as its two or three letters, so that a slip in one of them is one
    letter's difference."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in apart if unicodedata.category(letter) != "Mn")


def words(text: str) -> list[str]:
    """The words of a text, spelled, in order; at most MOST_WORDS, each cut to LONGEST_WORD."""
    found = []
    for word in _WORD.finditer(spelled(text)):
        found.append(word.group()[:LONGEST_WORD])
        if len(found) == MOST_WORDS:
            break
    return found


def is_hangul(word: str) -> bool:
    """Whether a spelled word is Korean."""
    return "\u1100" <= word[0] <= "\u11ff"


def syllables(word: str) -> int:
    """Of a spelled Korean word."""
    return sum(_LEADS[0] <= letter <= _LEADS[1] for letter in word)


def ends_syllable(word: str, place: int) -> bool:
    """Whether a spelled word can be cut before `place`: the first letters of 각 spell 가, which is another syllable."""
    return place >= len(word) or not _TAILS[0] <= word[place] <= _TAILS[1]


def field_words(value: object) -> list[str]:
    """The words of a field, which may be a text, a number or a list of them."""
    if value is None:
        return []
    parts = value if isinstance(value, (list, tuple)) else [value]
    return words(" ".join(str(part) for part in parts if part is not None))
