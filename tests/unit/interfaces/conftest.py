"""What several of these tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from src.interfaces.cli.app import run_command


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """A command with these variables alone: its exit code."""

    def run(*arguments: str, **environ: str) -> int:
        for name in [name for name in os.environ if name.startswith("WORKER_")]:
            monkeypatch.delenv(name)
        for name, value in {"WORKER_DATA_DIR": str(tmp_path / "data"), **environ}.items():
            monkeypatch.setenv(name, value)
        return run_command(list(arguments))

    return run
