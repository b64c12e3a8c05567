"""Secrets in an exception's message reach neither what is stored nor what is logged (reliability.md T22, lesson 28)."""

from __future__ import annotations

import json
import logging

import pytest

from src.domain.errors import TRACEBACK_LIMIT, ErrorReport, StorageUnavailable
from src.infrastructure.observability.logs import Censor, Lines, secret_values

CANARY = "canary-51c7e2"
PASSWORD = "hunter2-of-the-url"
ENVIRON = {"WORKER_STORAGE__SECRET_KEY": CANARY, "SOME_ADDRESS": f"redis://:{PASSWORD}@cache:6379/0"}


def report(padding: int = 0) -> ErrorReport:
    censor = Censor(secret_values(ENVIRON))
    words = f"{CANARY}{'x' * padding} at https://user:{PASSWORD}@host/a, again {PASSWORD}"
    with pytest.raises(StorageUnavailable) as caught:
        raise StorageUnavailable(words)
    return ErrorReport.of(caught.value, censor.hidden)


def test_t22_a_secret_in_an_exception_is_not_in_the_report_that_is_stored() -> None:
    text = json.dumps(report().to_json())
    assert CANARY not in text
    assert PASSWORD not in text
    assert "[hidden]" in report().message
    assert "StorageUnavailable" in report().traceback


def test_t22_cutting_a_long_text_leaves_no_half_of_a_secret() -> None:
    for padding in range(TRACEBACK_LIMIT - 300, TRACEBACK_LIMIT + 60, 7):
        assert CANARY[-5:] not in report(padding).traceback


def test_lines_carry_the_ids_that_are_bound_until_others_are() -> None:
    lines = Lines(Censor(), as_json=True)
    record = logging.LogRecord("src.x", logging.INFO, "", 0, "event", (), None)
    lines.bind({"job": "j1", "tenant": "t", "attempt": 2, "trace": None})
    assert {"job": "j1", "tenant": "t", "attempt": 2}.items() <= json.loads(lines.line(record)).items()
    lines.bind({})
    assert "job" not in json.loads(lines.line(record))
