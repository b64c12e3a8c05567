"""How well a word that was asked for fits a word that is there: the whole, its beginning, inside it, or nearly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from src.domain.search.words import ends_syllable, is_hangul, syllables

WHOLE, BEGINNING, INSIDE = 1.0, 0.9, 0.8
NEARLY = 0.7
"""With one slip; SLIP less for each further one."""
SLIP = 0.2

ONE_SLIP, TWO_SLIPS = 5, 9
"""Letters from which on a word may have one slip, or two: as Meilisearch does by default."""

KOREAN_ONE_SLIP, KOREAN_TWO_SLIPS = 3, 5
"""Syllables for the same in Korean, a slip being one letter of a syllable. Two-syllable words have too many neighbours."""

WEIGHTS: Mapping[str, float] = {"title": 8.0, "players": 4.0, "event_type": 2.0, "description": 1.0}
"""Of a word's place, in the order in which contracts.md 4.1 names what is searched (players are people's names: after the title)."""


def slips_allowed(asked: str) -> int:
    """How many. None in numbers: 2023 is no 2024."""
    if asked.isdigit():
        return 0
    if is_hangul(asked):
        size = syllables(asked)
        return (size >= KOREAN_ONE_SLIP) + (size >= KOREAN_TWO_SLIPS)
    return (len(asked) >= ONE_SLIP) + (len(asked) >= TWO_SLIPS)


def fit(asked: str, word: str) -> float:
    """0 for no match, 1 for the same word; both spelled. A Korean word is also found inside another (its parts are written
    together), other words by their beginnings alone."""
    if asked == word:
        return WHOLE
    if asked.isdigit() != word.isdigit():
        return 0.0
    if is_hangul(asked) != is_hangul(word):
        return 0.0
    if word.startswith(asked) and ends_syllable(word, len(asked)):
        return BEGINNING
    inside = is_hangul(asked) and syllables(asked) > 1
    if inside and _is_inside(asked, word):
        return INSIDE
    allowed = slips_allowed(asked)
    if not allowed or len(word) < len(asked) - allowed:
        return 0.0
    slips = fewest_slips(asked, word, allowed, inside=inside)
    return 0.0 if slips > allowed else NEARLY - SLIP * (slips - 1)


def _is_inside(asked: str, word: str) -> bool:
    place = word.find(asked)
    while place >= 0:
        if ends_syllable(word, place + len(asked)):
            return True
        place = word.find(asked, place + 1)
    return False


def fewest_slips(asked: str, word: str, allowed: int, *, inside: bool) -> int:
    """Letters put in, left out, exchanged, or two that changed places, between `asked` and a beginning of `word` (with
    `inside`, any part of it); more than `allowed` is said as `allowed` + 1. The first letter of other words than Korean ones
    counts twice when it differs, as in Meilisearch."""
    before: list[int] = []
    row = [0 if inside else place for place in range(len(word) + 1)]
    for number, letter in enumerate(asked, 1):
        # A wrong first letter is seldom a slip, and mostly another word.
        wrong = 2 if number == 1 and not inside else 1
        older, before, row = before, row, [row[0] + 1]
        for place, other in enumerate(word, 1):
            best = min(
                before[place - 1] + (0 if letter == other else wrong),
                before[place] + 1,
                row[place - 1] + 1,
            )
            if number > 1 and place > 1 and letter == word[place - 2] and asked[number - 2] == other:
                best = min(best, older[place - 2] + 1)
            row.append(best)
        if min(row) > allowed:
            return allowed + 1
    ends = [slips for place, slips in enumerate(row) if ends_syllable(word, place)]
    return min(ends)


@dataclass(slots=True)
class Asked:
    """The words of one query; every one of them has to fit. Remembers how words fitted: the same ones come again and again."""

    words: Sequence[str]
    _known: dict[str, dict[str, float]] = field(default_factory=dict)

    def score(self, there: Mapping[str, Sequence[str]]) -> float:
        """Of a document, {field: its words}; 0 when a word fits nowhere. Without words everything fits, equally."""
        total = 0.0
        for asked in self.words:
            known = self._known.setdefault(asked, {})
            best = 0.0
            for name, found in there.items():
                near = 0.0
                for word in found:
                    fitting = known.get(word)
                    if fitting is None:
                        fitting = known[word] = fit(asked, word)
                    near = max(near, fitting)
                # Squared: one whole word is worth more than two that are nearly so.
                best = max(best, near * near * WEIGHTS[name])
            if not best:
                return 0.0
            total += best
        return total or 1.0
