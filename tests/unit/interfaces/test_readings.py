"""What commands do when the backend of progress does not answer: the job's row says more than a reading."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from src.domain.errors import DatabaseUnavailable, NetworkError
from src.domain.job import Job
from src.domain.progress import ProgressReport
from src.interfaces.cli.documents import status_document
from src.interfaces.cli.readings import Readings
from src.interfaces.cli.session import Session
from src.interfaces.cli.status import show

JOB = Job(id="job-1", type="video", tenant="t", payload={})


@dataclass
class Away:
    """A session whose progress raises, and counts how often it was asked."""

    error: NetworkError
    asked: list[str] = field(default_factory=list)

    @property
    def progress(self) -> Away:
        return self

    def latest(self, job_id: str) -> ProgressReport | None:
        self.asked.append(job_id)
        raise self.error


def test_f10_a_job_is_shown_without_its_progress_while_that_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    away = Away(NetworkError("Redis at 127.0.0.1:1 did not answer"))
    readings = Readings(cast("Session", away))
    documents = [status_document(JOB, readings.of(JOB.id)) for _ in range(3)]
    assert [document["progress"] for document in documents] == [None] * 3
    assert documents[0]["state"] == "QUEUED"
    assert away.asked == ["job-1"], "each question would cost its time limit"
    said = capsys.readouterr().err
    assert said.count("Redis at 127.0.0.1:1") == 1
    show(documents[0])
    assert "unknown: its backend did not answer" in capsys.readouterr().out


def test_a_database_that_is_away_is_an_error_all_the_same() -> None:
    away = Away(DatabaseUnavailable("away"))
    with pytest.raises(DatabaseUnavailable):
        Readings(cast("Session", away)).of(JOB.id)
