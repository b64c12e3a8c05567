"""Who asks for a job that is not there is told which settings say where the jobs are."""

from __future__ import annotations

import pytest

from src.interfaces.cli.session import place_settings
from src.interfaces.wiring.environment import load

REDIS = {"WORKER_REDIS__URL": "redis://127.0.0.1:1/0", "WORKER_LEDGER__BACKEND": "redis"}


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, ["WORKER_DATA_DIR"]),
        ({"WORKER_DATABASE__URL": "postgresql://u@127.0.0.1:1/media"}, ["WORKER_DATABASE__URL"]),
        (REDIS, ["WORKER_REDIS__URL", "WORKER_LEDGER__NAME"]),
    ],
)
def test_the_settings_of_the_ledger_that_is_chosen(environ: dict[str, str], named: list[str]) -> None:
    assert place_settings(load(environ)) == named
