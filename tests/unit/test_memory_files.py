"""Where a run's temporary files go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import memory_files

ROOT = Path(__file__).resolve().parents[2]

RUN = """
import sys, tempfile
from pathlib import Path
from tests import memory_files
memory_files.FREE_BYTES = int(sys.argv[2])
folder = memory_files.own_folder(Path(sys.argv[1]))
assert Path(tempfile.mkdtemp()).parent == folder
print(folder, end="")
"""


def folder_of_a_run(memory: Path, *, free: int = 1, **environment: str) -> Path:
    """Where the files of such a run lay."""
    ours = ("TMPDIR", "PYTEST_XDIST_WORKER", "PYTEST_DEBUG_TEMPROOT")
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    command = [sys.executable, "-c", RUN, str(memory), str(free)]
    done = subprocess.run(command, cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not Path(done.stdout).exists()
    return Path(done.stdout)


def test_they_go_to_memory_that_has_room_and_with_the_process(tmp_path: Path) -> None:
    killed = tmp_path / f"{memory_files.PREFIX}{2**22 + 1}-of_a_run_that_was_killed"  # no process has this number
    of_another = tmp_path / f"{memory_files.PREFIX}{os.getpid()}-of_a_run_that_goes_on"
    for folder in (killed, of_another):
        (folder / "postgres").mkdir(parents=True)
    assert folder_of_a_run(tmp_path).parent == tmp_path
    assert list(tmp_path.iterdir()) == [of_another]


def test_a_place_that_was_asked_for_is_taken(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert folder_of_a_run(tmp_path, TMPDIR=str(tmp_path / "mine")).parent == tmp_path / "mine"


@pytest.mark.parametrize(("memory", "free"), [("", 1 << 60), ("nowhere", 1), ("/proc", 1)])
def test_without_room_or_a_place_they_go_to_the_disk(memory: str, free: int, tmp_path: Path) -> None:
    assert folder_of_a_run(tmp_path / memory, free=free).parent not in (tmp_path, Path(memory))


def test_processes_of_a_run_share_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert memory_files.own_folder() is None
