"""Warnings below a command reach whoever typed it with what they are about."""

from __future__ import annotations

import logging

import pytest

from src.interfaces.cli.app import run_command


def test_a_warning_is_more_than_its_name(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # A command's process has no handlers.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    monkeypatch.setenv("DB_PASSWORD", "canary-value")
    assert run_command(["version"]) == 0
    capsys.readouterr()
    about = {"recovery": "scan-stuck", "what": "job-1", "error": "denied canary-value", "counts": {"a": 1}}
    logging.getLogger("src.x").warning("recovery.failed", extra=about)
    logging.getLogger("src.x").info("recovery.did")
    said = capsys.readouterr().err
    assert "warning recovery.failed  recovery=scan-stuck what=job-1 error=denied [hidden]" in said
    assert said.rstrip().endswith('counts={"a": 1}')
    assert "canary" not in said
