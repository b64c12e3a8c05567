"""Where a run's temporary files go."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import memory_files

pytestmark = pytest.mark.usefixtures("_chosen_anew")


@pytest.fixture
def _chosen_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    tempfile.tempdir = None


def test_they_go_to_memory_that_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_files, "FREE_BYTES", 1)
    memory_files.use_memory(tmp_path)
    assert tempfile.gettempdir() == str(tmp_path)


def test_a_place_that_was_asked_for_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_files, "FREE_BYTES", 1)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    memory_files.use_memory(Path("/"))
    assert tempfile.gettempdir() == str(tmp_path)


@pytest.mark.parametrize(("memory", "wanted"), [("here", 1 << 60), ("nowhere", 1), ("/proc", 1)])
def test_without_room_or_a_place_the_disk_does(
    memory: str, wanted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(memory_files, "FREE_BYTES", wanted)
    before = tempfile.gettempdir()
    memory_files.use_memory(tmp_path / memory)
    assert tempfile.gettempdir() == before
