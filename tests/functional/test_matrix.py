"""The same job through every queue, database, storage and lock, by environment variables alone.

`make test` walks a few of the 60 choices: so few that every PAIR of them (this queue with that lock, that database with this
storage, ...) still occurs together. `make chaos` walks all 60 (tests/chaos/test_matrix.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional.matrix import EVERYTHING, Choice, Walked, covering, pairs, walk

EMBEDDED = Choice("sqlite", "sqlite", "filesystem", "database")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """What everything else is compared with: the defaults."""
    return walk(EMBEDDED, tmp_path_factory.mktemp("embedded"))


def test_the_few_hold_every_pair_of_the_sixty() -> None:
    assert len(EVERYTHING) == 5 * 2 * 2 * 3
    few = covering()
    assert set().union(*map(pairs, few)) == set().union(*map(pairs, EVERYTHING))
    assert len(few) <= 18
    # A loss is seen: without the first of them some pair is missing.
    assert set().union(*map(pairs, few[1:])) != set().union(*map(pairs, few))


def test_the_defaults_make_a_stream(embedded: Walked) -> None:
    assert (embedded.job["state"], embedded.job["attempts"], embedded.job["error"]) == ("SUCCEEDED", 1, None)
    assert [outcome for *_, outcome, _error in embedded.history] == ["SUCCEEDED"]
    assert embedded.master.startswith("#EXTM3U")
    assert embedded.ladder
    assert embedded.left["letters"] == embedded.left["folders"] == embedded.left["processes"] == []


@pytest.mark.parametrize("choice", covering(), ids="-".join)
def test_the_same_job_comes_to_the_same_end(choice: Choice, embedded: Walked, tmp_path: Path) -> None:
    walked = walk(choice, tmp_path / "data")
    for name in Walked.__dataclass_fields__:
        assert getattr(walked, name) == getattr(embedded, name), name
