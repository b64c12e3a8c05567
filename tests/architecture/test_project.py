"""What the project as a whole keeps to: its layers, and that it names no machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MACHINE = re.compile(r"(?<![\w./-])/(?:work|root|tmp|Users|home/[a-z][\w-]*)/")
INDEX = re.compile(
    r"(?:pypi\.org|pythonhosted\.|docker\.io|ghcr\.io|quay\.io|npmjs\.|(?<!emit-)index-url)", re.IGNORECASE
)


def named_in(text: str) -> list[str]:
    return [found[0] for pattern in (MACHINE, INDEX) for found in pattern.finditer(text)]


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name for name in listed.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and path != Path(__file__)]


def test_the_import_contracts_hold() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(linter), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("text", ["see /root/x", '"/tmp/a"', "/home/ann/b", "--index-url=x", "https://pypi.org/x"])
def test_a_machine_or_an_index_is_recognised(text: str) -> None:
    assert named_in(text)


def test_no_tracked_file_names_a_machine_or_a_package_index() -> None:
    found = {str(path.relative_to(ROOT)): named_in(path.read_text(errors="replace")) for path in tracked()}
    assert len(found) > 100
    assert {name: words for name, words in found.items() if words} == {}


def test_the_licence_is_the_one_that_the_project_declares() -> None:
    assert 'license = { text = "MIT" }' in (ROOT / "pyproject.toml").read_text()
    assert (ROOT / "LICENSE").read_text().startswith("MIT License\n")
