"""A worker that holds a job of a deleted video."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.domain.errors import Cancelled
from tests.fakes.media import ScriptedEncoder
from tests.unit.application.test_video_handler import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def delete(stage: Stage) -> None:
    stage.videos.update("v1", lambda video: video.deleted(stage.clock.now()))


def test_lesson_14_a_job_of_a_deleted_video_ends_without_work(stage: Stage) -> None:
    delete(stage)
    encoder = ScriptedEncoder()
    with pytest.raises(Cancelled, match="video v1 was deleted"):
        stage.attempt(encoder)
    assert encoder.encoded == []
    assert stage.output() == []


def test_a_video_deleted_in_mid_encode_keeps_no_output(stage: Stage) -> None:
    encoder = ScriptedEncoder(fault=lambda chunk: delete(stage) if chunk == 2 else None)
    with pytest.raises(Cancelled, match="deleted meanwhile"):
        stage.attempt(encoder)
    assert stage.output() == []
