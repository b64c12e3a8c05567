"""The same job through every queue, database, storage and lock, by environment variables alone.

`make test` walks a few of the 60 choices, in which every queue, database, storage and lock occurs. `make chaos` walks all 60
(tests/chaos/test_matrix.py), and here a few in which every PAIR of them occurs together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.functional.matrix import EVERYTHING, Choice, Walked, covering, pairs, singles, walk

EMBEDDED = Choice("sqlite", "sqlite", "filesystem", "database")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """What everything else is compared with: the defaults."""
    return walk(EMBEDDED, tmp_path_factory.mktemp("embedded"))


OFTEN = covering(singles)
FEW = [*OFTEN, *(choice for choice in covering(pairs) if choice not in OFTEN)]


@pytest.mark.parametrize(("parts", "few", "most"), [(singles, OFTEN, 6), (pairs, FEW, 20)])
def test_the_few_have_all_that_the_sixty_have(
    parts: Callable[[Choice], set[Any]], few: Sequence[Choice], most: int
) -> None:
    assert len(EVERYTHING) == 5 * 2 * 2 * 3
    assert set().union(*map(parts, few)) == set().union(*map(parts, EVERYTHING))
    assert len(few) <= most
    # A loss is seen.
    assert set().union(*map(parts, few[:2])) != set().union(*map(parts, few))


def test_the_defaults_make_a_stream(embedded: Walked) -> None:
    assert (embedded.job["state"], embedded.job["attempts"], embedded.job["error"]) == ("SUCCEEDED", 1, None)
    assert [outcome for *_, outcome, _error in embedded.history] == ["SUCCEEDED"]
    assert embedded.master.startswith("#EXTM3U")
    assert embedded.ladder
    assert embedded.left["letters"] == embedded.left["folders"] == embedded.left["processes"] == []


@pytest.mark.parametrize(
    "choice",
    [choice if choice in OFTEN else pytest.param(choice, marks=pytest.mark.chaos) for choice in FEW],
    ids="-".join,
)
def test_the_same_job_comes_to_the_same_end(choice: Choice, embedded: Walked, tmp_path: Path) -> None:
    walked = walk(choice, tmp_path / "data")
    for name in Walked.__dataclass_fields__:
        assert getattr(walked, name) == getattr(embedded, name), name
