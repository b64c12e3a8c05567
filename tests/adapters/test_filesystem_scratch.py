"""Working folders and their owners."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from src.domain.errors import FileAccessError
from src.infrastructure.storage.scratch import NOTE, FilesystemScratch, Owner


@pytest.fixture
def scratch(tmp_path: Path) -> FilesystemScratch:
    return FilesystemScratch(tmp_path / "scratch")


def owned_by(scratch: FilesystemScratch, name: str, owner: Owner) -> Path:
    folder = scratch.open(name)
    (folder / "input").write_bytes(b"x")
    (scratch.root / f"{name}{NOTE}").write_text(json.dumps(asdict(owner)))
    return folder


def test_k13_the_folder_of_a_killed_process_is_swept(scratch: FilesystemScratch) -> None:
    mine = scratch.open("mine")
    child = os.fork()
    if child == 0:
        try:
            (scratch.open("run-1") / "input").write_bytes(b"x")
        finally:
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert (scratch.root / "run-1" / "input").exists()
    assert scratch.sweep() == 1
    assert sorted(path.name for path in scratch.root.iterdir()) == ["mine", f"mine{NOTE}"]
    assert mine.is_dir()


def test_k13_a_dead_process_that_nobody_reaped_is_dead(scratch: FilesystemScratch) -> None:
    child = os.fork()
    if child == 0:
        try:
            scratch.open("run-1")
        finally:
            os.kill(os.getpid(), 9)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert scratch.sweep() == 1
    os.waitpid(child, 0)


def test_a_reused_process_id_is_not_the_owner(scratch: FilesystemScratch) -> None:
    owned_by(scratch, "run-1", replace(Owner.current(), started="1"))
    assert scratch.sweep() == 1


def test_after_a_restart_of_the_machine_every_owner_is_dead(scratch: FilesystemScratch) -> None:
    owned_by(scratch, "run-1", replace(Owner.current(), boot="another boot"))
    assert scratch.sweep() == 1


def test_the_folder_of_another_container_is_left_alone(scratch: FilesystemScratch) -> None:
    folder = owned_by(scratch, "run-1", replace(Owner.current(), namespace="pid:[1]", started="1"))
    assert scratch.sweep() == 0
    assert folder.is_dir()


def test_a_folder_without_a_note_is_left_alone(scratch: FilesystemScratch) -> None:
    (scratch.root / "precious").mkdir(parents=True)
    (scratch.root / f"torn{NOTE}").write_text("{")
    assert scratch.sweep() == 0
    assert (scratch.root / "precious").is_dir()


def test_a_living_owners_folder_is_not_taken(scratch: FilesystemScratch) -> None:
    init = replace(Owner.current(), pid=1, started=Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
    owned_by(scratch, "run-1", init)
    with pytest.raises(FileAccessError, match="alive"):
        scratch.open("run-1")


def test_nobody_else_may_enter(scratch: FilesystemScratch) -> None:
    assert scratch.open("run-1").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "/abs", "x\x00", ".hidden", "x" * 300, f"x{NOTE}"])
def test_t12_names_can_not_leave_the_root(scratch: FilesystemScratch, name: str) -> None:
    for use in (scratch.open, scratch.discard):
        with pytest.raises(FileAccessError):
            use(name)


def test_links_inside_a_folder_are_removed_not_followed(scratch: FilesystemScratch, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (scratch.open("run-1") / "link").symlink_to(tmp_path / "precious")
    scratch.discard("run-1")
    assert (tmp_path / "precious" / "file").exists()


def test_a_root_that_can_not_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileAccessError, match="WORKER_SCRATCH_DIR"):
        FilesystemScratch(tmp_path / "file" / "scratch").open("run-1")
