"""The Lambda behind the deletion queue: one answer per message, nothing lost, nothing half done in silence."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from src.application.catalog import Catalog
from src.application.decoders import Decoders, DecoderSettings
from src.application.video.job_types import DELETE_OBJECTS_JOB
from src.infrastructure.db.standings import SqlVideoStandings
from src.infrastructure.db.videos import SqlChunks
from src.interfaces.lambdas import delete_objects as function
from src.interfaces.lambdas.delete_objects import DeleteObjectsFunction
from tests.fakes.deletion import Archive, folder_of, source_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def archive() -> Archive:
    return Archive()


def made(archive: Archive) -> DeleteObjectsFunction:
    decoders = Decoders(Catalog([DELETE_OBJECTS_JOB]), DecoderSettings())
    return DeleteObjectsFunction(decoders, archive.objects, archive.clock.monotonic)


def body(video: str = "1", **more: object) -> str:
    return json.dumps(
        {"action": "delete_r2", "tenant_id": "t1", "video_id": video, "file_key": source_of(video)}
        | {"hls_prefix": folder_of(video), "created_at": "2026-02-24T00:00:00Z"}
        | more
    )


def event(*bodies: str, queue: str = "academy-video-delete-r2") -> dict[str, Any]:
    records = [
        {
            "messageId": f"m{number}",
            "body": text,
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:r:1:{queue}",
        }
        for number, text in enumerate(bodies)
    ]
    return {"Records": records}


def failed(answer: dict[str, Any]) -> list[str]:
    assert answer.keys() == {"batchItemFailures"}
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def test_messages_that_were_done_are_not_named(archive: Archive) -> None:
    assert made(archive).answer(event(body("1"), body("12")), 120.0) == {"batchItemFailures": []}
    assert [archive.left("1"), archive.left("12"), archive.left("2", "t2")] == [0, 0, 3]


def test_each_message_stands_for_itself(archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    archive.storage.locked = frozenset({f"{folder_of('12')}1-1-00000000/a.m4s"})
    bodies = [
        "not json", body("12"), body("1"), json.dumps({"action": "restore_r2", "video_id": 1}), body("1", tenant_id="t2"),
        body("1", hls_prefix="tenants/t1/video/hls/"), json.dumps({"video_id": 1}), body("1", schema_version=9),
        json.dumps({"action": ""}), json.dumps({"action": 5, "video_id": 1}), json.dumps({"id": "x", "type": "y", "payload": {}}),
    ]  # fmt: skip
    with caplog.at_level(logging.INFO):
        answer = made(archive).answer(event(*bodies), 120.0)
    assert failed(answer) == ["m0", "m1", "m4", "m5", "m6", "m7", "m8", "m9", "m10"]
    assert [archive.left("1"), archive.left("12")] == [0, 1]
    said = {record.msg for record in caplog.records}
    assert {"message.skipped", "message.failed"} <= said
    told = {record.__dict__.get("error_class") for record in caplog.records}
    assert {"invalid_message", "objects_left", "tenant_mismatch", "invalid_payload"} <= told


def test_another_action_is_skipped_and_said(archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    assert failed(made(archive).answer(event(json.dumps({"action": "restore_r2"})), 120.0)) == []
    (said,) = [record for record in caplog.records if record.msg == "message.skipped"]
    assert said.levelno == logging.WARNING


def test_a_surprise_in_one_message_costs_the_others_nothing(archive: Archive) -> None:
    class Broken(type(archive.storage)):  # type: ignore[misc]
        """Trips over one video."""

        def list(self, prefix: str) -> Any:
            if prefix == folder_of("1"):
                raise ZeroDivisionError("nobody foresaw this")
            return super().list(prefix)

    archive.storage.__class__ = Broken
    assert failed(made(archive).answer(event(body("1"), body("12")), 120.0)) == ["m0"]
    assert archive.left("12") == 0


def test_what_does_not_fit_into_the_time_is_named(archive: Archive) -> None:
    archive.fill("3")
    plain = type(archive.storage)

    class Slow(plain):  # type: ignore[misc,valid-type]
        """Each delete takes half a minute."""

        def delete(self, keys: list[str]) -> None:
            archive.clock.advance(30)
            super().delete(keys)

    archive.storage.__class__ = Slow
    answer = made(archive).answer(event(body("1"), body("12"), body("3")), 120.0)
    assert failed(answer) == ["m1", "m2"]
    assert [archive.left("1"), archive.left("3")] == [0, 3]
    archive.storage.__class__ = plain
    assert failed(made(archive).answer(event(body("12"), body("3")), 120.0)) == []
    assert [archive.left("12"), archive.left("3")] == [0, 0]


def test_a_running_job_keeps_the_message(archive: Archive) -> None:
    archive.job(running=True)
    assert failed(made(archive).answer(event(body("1")), 120.0)) == ["m0"]


def test_a_fifo_queue_stops_at_its_first_failure(archive: Archive) -> None:
    answer = made(archive).answer(event(body("1"), "bad", body("12"), queue="delete.fifo"), 120.0)
    assert failed(answer) == ["m1", "m2"]
    assert archive.left("12") == 3


def test_without_a_database_the_keys_decide(archive: Archive) -> None:
    bare = replace(made(archive), objects=replace(archive.objects, standings=None, chunks=None))
    assert failed(bare.answer(event(body("1"), body("1", hls_prefix=folder_of("12"))), 120.0)) == ["m1"]
    assert [archive.left("1"), archive.left("12")] == [0, 3]


@given(
    st.lists(
        st.one_of(st.text(), st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps)), max_size=5
    )
)
def test_f28_whatever_a_body_is_every_message_gets_an_answer(bodies: list[str]) -> None:
    archive = Archive()
    answer = made(archive).answer(event(*bodies), 120.0)
    assert failed(answer) == [f"m{number}" for number in range(len(bodies))]
    assert archive.left("1") == 3


# ---------------------------------------------------------------------- what AWS calls
class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 120_000


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A container that has not served yet; its logging is put back."""
    root, ours = logging.getLogger(), logging.getLogger("src")
    kept = root.handlers[:], root.level, ours.level
    monkeypatch.setattr(function, "_made", [])
    yield monkeypatch
    root.handlers[:], level, own = kept
    root.setLevel(level)
    ours.setLevel(own)


def test_the_function_is_made_from_the_environment(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = tmp_path / "storage" / source_of("1")
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    fresh.setenv("WORKER_DATA_DIR", str(tmp_path))
    fresh.setenv("WORKER_STORAGE__BACKEND", "filesystem")
    assert function.handler(event(body("1"), "bad"), Context()) == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert not kept.exists()
    assert list(tmp_path.glob("*.db")) == []


def test_lesson_27_wrong_settings_keep_every_message_and_say_so(
    fresh: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fresh.setenv("WORKER_STORAGE__BACKEND", "s3")
    assert failed(function.handler(event(body("1"), body("2")), Context())) == ["m0", "m1"]
    assert "WORKER_STORAGE__BUCKET" in caplog.text


def test_lesson_30_a_storage_that_nobody_chose_is_no_empty_one(
    fresh: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert failed(function.handler(event(body("1")), Context())) == ["m0"]
    assert "no storage is chosen" in caplog.text


def test_a_database_is_asked_where_one_is_named(fresh: pytest.MonkeyPatch) -> None:
    s3 = {"WORKER_STORAGE__BACKEND": "s3", "WORKER_STORAGE__BUCKET": "b", "AWS_REGION": "r"}
    assert function.make_function(s3).objects.standings is None
    asking = function.make_function({**s3, "WORKER_DATABASE__URL": "postgresql://u@h/d"}).objects
    assert isinstance(asking.standings, SqlVideoStandings)
    assert isinstance(asking.chunks, SqlChunks)
    assert asking.storage.read_seconds == function.STORAGE_SECONDS  # type: ignore[attr-defined]


@pytest.mark.parametrize("other", [{}, {"Records": [{"s3": {}}]}, {"Records": "x"}, {"source": "aws.events"}])
def test_an_event_of_another_trigger_is_refused(fresh: pytest.MonkeyPatch, other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not an event of SQS"):
        function.handler(other, Context())


def test_e14_the_function_imports_what_it_needs_alone() -> None:
    code = (
        "import sys, os; os.environ.update(WORKER_STORAGE__BACKEND='s3', WORKER_STORAGE__BUCKET='b', AWS_REGION='r');"
        "from src.interfaces.lambdas.delete_objects import make_function; make_function(os.environ);"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "boto3" in done.stdout.split()
    assert not set(done.stdout.split()) & {"sqlalchemy", "alembic", "psycopg", "redis", "av", "ffmpeg", "click", "rich"}
