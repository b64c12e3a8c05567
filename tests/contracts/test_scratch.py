"""Scratch."""

from __future__ import annotations

from src.application.ports.scratch import Scratch


def test_a_folder_is_fresh_and_empty(scratch: Scratch) -> None:
    folder = scratch.open("run-1")
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


def test_opening_again_empties_the_folder(scratch: Scratch) -> None:
    (scratch.open("run-1") / "old").touch()
    assert list(scratch.open("run-1").iterdir()) == []


def test_folders_are_apart(scratch: Scratch) -> None:
    assert scratch.open("run-1") != scratch.open("run-2")


def test_discarding_removes_everything_of_one_folder(scratch: Scratch) -> None:
    folder, other = scratch.open("run-1"), scratch.open("run-2")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "file").write_bytes(b"x")
    scratch.discard("run-1")
    scratch.discard("run-1")
    assert not folder.exists()
    assert other.is_dir()
    assert list(folder.parent.glob("run-1*")) == []


def test_k13_a_living_owners_folder_is_never_swept(scratch: Scratch) -> None:
    folder = scratch.open("run-1")
    assert scratch.sweep() == 0
    assert folder.is_dir()


def test_nothing_to_sweep_is_fine(scratch: Scratch) -> None:
    assert scratch.sweep() == 0


def test_free_space_is_known_before_the_first_folder(scratch: Scratch) -> None:
    assert scratch.free_bytes() > 0
