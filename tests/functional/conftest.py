"""A fleet per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.fleet import Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Workers on an empty data directory; nothing of them may be left behind."""
    workers = Fleet(tmp_path / "data")
    try:
        yield workers
    finally:
        workers.close()
