"""Working folders and their owners."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from src.domain.errors import FileAccessError
from src.infrastructure.storage.scratch import NOTE, FilesystemScratch


@pytest.fixture
def scratch(tmp_path: Path) -> FilesystemScratch:
    return FilesystemScratch(tmp_path / "scratch")


OWNER = """
import os, subprocess, sys
from pathlib import Path
from src.infrastructure.storage.scratch import FilesystemScratch

folder = FilesystemScratch(Path(sys.argv[1])).open("run-1")
(folder / "input").write_bytes(b"x")
heir = subprocess.Popen(["sleep", "60"], close_fds=False)
print(heir.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(scratch: FilesystemScratch) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process that owns run-1, and has started a program which would inherit every descriptor that can be inherited."""
    argv = [sys.executable, "-c", OWNER, str(scratch.root)]
    owner = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    heir = int(owner.stdout.readline())
    try:
        yield owner, scratch.root / "run-1"
    finally:
        os.kill(heir, 9)
        owner.kill()
        owner.communicate()


def rewrite_note(scratch: FilesystemScratch, name: str, **changes: object) -> None:
    note = scratch.root / f"{name}{NOTE}"
    note.write_text(json.dumps(json.loads(note.read_text()) | changes))


def test_k13_the_folder_of_a_living_process_is_neither_swept_nor_taken(scratch: FilesystemScratch) -> None:
    with another_process(scratch) as (_owner, folder):
        assert scratch.sweep() == 0
        assert (folder / "input").exists()
        with pytest.raises(FileAccessError, match="alive"):
            scratch.open("run-1")
        assert (folder / "input").exists()


def test_k13_kill_9_frees_the_folder_although_a_child_of_the_owner_lives_on(scratch: FilesystemScratch) -> None:
    with another_process(scratch) as (owner, folder):
        owner.kill()
        owner.wait()
        assert scratch.sweep() == 1
        assert not folder.exists()
        assert list(scratch.root.iterdir()) == []


def test_k13_scratch_of_a_killed_container_is_swept_before_the_next_reboot(scratch: FilesystemScratch) -> None:
    with another_process(scratch) as (owner, folder):
        # As a container sees it: another process-id namespace, in which number 1 lives on as somebody else.
        rewrite_note(scratch, "run-1", namespace="pid:[1]", pid=1)
        assert scratch.sweep() == 0
        owner.kill()
        owner.wait()
        assert scratch.sweep() == 1
        assert not folder.exists()


def test_a_dead_owners_folder_can_be_opened_anew(scratch: FilesystemScratch) -> None:
    with another_process(scratch) as (owner, folder):
        owner.kill()
        owner.wait()
        assert list(scratch.open("run-1").iterdir()) == []
        assert FilesystemScratch(scratch.root).sweep() == 0
        assert folder.is_dir()


def test_the_supervisor_discards_for_a_process_that_died(scratch: FilesystemScratch) -> None:
    with another_process(scratch) as (owner, _folder):
        owner.kill()
        owner.wait()
        scratch.discard("run-1")
        assert list(scratch.root.iterdir()) == []


def test_another_handle_of_the_same_process_sees_the_owner(scratch: FilesystemScratch) -> None:
    scratch.open("run-1")
    other = FilesystemScratch(scratch.root)
    assert other.sweep() == 0
    with pytest.raises(FileAccessError, match="alive"):
        other.open("run-1")


def test_folders_leave_no_descriptor_open(scratch: FilesystemScratch) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        scratch.open("run-1")
    scratch.sweep()
    FilesystemScratch(scratch.root).sweep()
    scratch.discard("run-1")
    assert sorted(Path("/proc/self/fd").iterdir()) == before


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


def test_k13_a_process_killed_while_it_writes_its_note_leaves_nothing(
    scratch: FilesystemScratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(Path, "replace", lambda *_: os.kill(os.getpid(), 9))
        try:
            scratch.open("run-1")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    assert len(list(scratch.root.iterdir())) == 1
    scratch.sweep()
    assert list(scratch.root.iterdir()) == []


def test_a_note_that_is_being_written_is_not_swept(scratch: FilesystemScratch, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.replace

    def swept_before(part: Path, note: Path) -> Path:
        FilesystemScratch(scratch.root).sweep()
        return rename(part, note)

    monkeypatch.setattr(Path, "replace", swept_before)
    assert scratch.open("run-1").is_dir()


def test_a_sweep_that_takes_a_part_before_its_writer_has_it_costs_the_writer_nothing(
    scratch: FilesystemScratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, sweeps = os.close, [FilesystemScratch(scratch.root).sweep]

    def swept_after(descriptor: int) -> None:
        close(descriptor)
        if sweeps:
            sweeps.pop()()

    monkeypatch.setattr(os, "close", swept_after)
    assert scratch.open("run-1").is_dir()
    assert sweeps == []
    monkeypatch.undo()
    assert sorted(path.name for path in scratch.root.iterdir()) == ["run-1", f"run-1{NOTE}"]


def test_a_folder_without_a_note_is_left_alone(scratch: FilesystemScratch) -> None:
    (scratch.root / "precious").mkdir(parents=True)
    (scratch.root / f"torn{NOTE}").write_text("{")
    assert scratch.sweep() == 0
    assert (scratch.root / "precious").is_dir()


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
