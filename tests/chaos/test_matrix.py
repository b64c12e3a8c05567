"""All 60 choices of queue, database, storage and lock (the long form of tests/functional/test_matrix.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.functional.matrix import EVERYTHING, Walked, walk

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]


def test_the_same_job_comes_to_the_same_end_on_all_sixty(tmp_path: Path) -> None:
    ends = {choice: walk(choice, tmp_path / "-".join(choice)) for choice in EVERYTHING}
    first = next(iter(ends.values()))
    assert (first.job["state"], first.job["attempts"]) == ("SUCCEEDED", 1)
    assert len(ends) == 60
    for choice, walked in ends.items():
        for name in Walked.__dataclass_fields__:
            assert getattr(walked, name) == getattr(first, name), (choice, name)
