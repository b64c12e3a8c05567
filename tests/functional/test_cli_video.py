"""plan, submit and demo on real media, as processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from src.domain.job import JobState
from src.infrastructure.db.schema import upgrade
from src.infrastructure.ffmpeg.binary import find_ffmpeg
from src.infrastructure.ffmpeg.demo_clip import make_demo_clip
from tests.functional.fleet import Fleet


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_demo_clip(find_ffmpeg(), path, seconds=3)
    return path


def test_plan_shows_rungs_chunks_commands_and_cost(fleet: Fleet, clip: Path) -> None:
    done = fleet.cli("plan", str(clip), "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert [rung["name"] for rung in document["plan"]["rungs"]] == ["720p", "480p", "360p", "240p"]
    assert len(document["commands"]) == len(document["plan"]["chunks"]) + len(document["plan"]["audio"])
    assert document["estimated_cpu_seconds"] > 0
    assert document["source"]["probed_bytes"] <= document["source"]["file_size"]
    brief = fleet.cli("plan", str(clip)).stdout
    assert ("720p" in brief, f"ffmpeg {len(document['commands'])} times" in brief, "-i" in brief) == (True, True, False)
    assert fleet.cli("plan", str(clip), "--commands").stdout.count("libx264") >= len(document["plan"]["chunks"])


def test_plan_of_something_else_names_what_it_is(fleet: Fleet, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 100)
    done = fleet.cli("plan", str(text), "--json")
    assert done.returncode == 2
    assert json.loads(done.stderr)["error"]["class"] == "unsupported_format"


def test_submit_prints_the_job_id_and_takes_each_kind_of_address(fleet: Fleet, clip: Path) -> None:
    first = fleet.cli("submit", "video", str(clip))
    job = fleet.job(first.stdout.strip())
    assert (first.returncode, job.state, job.tenant) == (0, JobState.QUEUED, "default")
    assert str(job.payload["file_key"]).startswith(f"tenants/default/video/raw/{job.payload['video_id']}/")
    again = fleet.cli("submit", "video", str(job.payload["file_key"]), "--video-id", "v2", "--json")
    assert json.loads(again.stdout)["subject"] == "video:v2"
    assert fleet.cli("submit", "video", "s3://elsewhere/tenants/t/a.mp4").returncode == 4
    assert fleet.cli("submit", "video", "no-such-file.mp4").returncode == 3
    assert fleet.cli("submit", "video", "tenants/default/video/raw/none.mp4").returncode == 3
    assert fleet.cli("submit", "video", str(job.payload["file_key"]), "--tenant", "other").returncode == 2


def test_a_path_that_is_no_readable_file_is_refused_with_words(fleet: Fleet, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path, code, words in ((tmp_path, 2, "not a file"), (empty, 2, "no bytes"), (tmp_path / "x.mp4", 3, "no file")):
        for command in (["plan"], ["submit", "video"]):
            done = fleet.cli(*command, str(path))
            assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def test_a_rejected_job_is_told_by_the_reason_of_the_contract(fleet: Fleet, clip: Path) -> None:
    assert fleet.cli("submit", "video", str(clip)).returncode == 0
    done = fleet.cli("submit", "video", str(clip), WORKER_LIMITS__ACTIVE_PER_TENANT="1")
    assert (done.returncode, "tenant_limit" in done.stderr) == (2, True), done.stderr
    assert len(raw_files(fleet)) == 1, "the copy of the rejected file stayed"


def test_submitting_a_video_twice_gives_the_same_active_job(fleet: Fleet, clip: Path) -> None:
    first, again = (fleet.cli("submit", "video", str(clip), "--video-id", "v1").stdout for _ in range(2))
    assert first == again != ""


def test_a_file_that_no_job_takes_is_not_kept_and_that_is_said(fleet: Fleet, clip: Path) -> None:
    first = fleet.cli("submit", "video", str(clip), "--video-id", "v1")
    again = fleet.cli("submit", "video", str(clip), "--video-id", "v1", "--json")
    assert json.loads(again.stdout)["id"] == first.stdout.strip()
    assert "was not taken" in again.stderr
    kept = raw_files(fleet)
    assert [str(fleet.job(first.stdout.strip()).payload["file_key"])] == kept


def raw_files(fleet: Fleet) -> list[str]:
    root = fleet.folder / "storage"
    return [str(path.relative_to(root)) for path in root.glob("tenants/*/video/raw/**/*") if path.is_file()]


def test_a_key_without_a_folder_is_a_key_too(fleet: Fleet, clip: Path) -> None:
    root = fleet.folder / "storage"
    root.mkdir(parents=True)
    (root / "flat.mp4").write_bytes(clip.read_bytes())
    done = fleet.cli("submit", "video", "flat.mp4")
    assert done.returncode == 0, done.stderr
    assert fleet.job(done.stdout.strip()).payload["file_key"] == "flat.mp4"


@pytest.mark.parametrize(
    ("source", "code"),
    [("x" * 300, 3), ("/" + "x" * 300, 3), ("x" * 3000, 2), ("~no-such-user/film.mp4", 3), ("", 2), ("a\nb/c.mp4", 2)],
)
def test_a_name_that_no_file_can_have_is_refused_with_words(fleet: Fleet, source: str, code: int) -> None:
    done = fleet.cli("submit", "video", source)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


def test_waiting_for_a_job_that_nobody_runs_times_out(fleet: Fleet, clip: Path) -> None:
    done = fleet.cli("submit", "video", str(clip), "--wait", "--timeout", "0.5", "--json")
    assert done.returncode == 6
    assert json.loads(done.stdout)["state"] == "QUEUED"


def test_waiting_says_how_the_job_ended(fleet: Fleet, clip: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 100)
    fleet.start()
    bad = fleet.cli("submit", "video", str(text), "--wait", "--json")
    assert (bad.returncode, json.loads(bad.stdout)["state"]) == (5, "FAILED")
    good = fleet.cli("submit", "video", str(clip), "--wait", "--json")
    document = json.loads(good.stdout)
    assert (good.returncode, document["state"], document["progress"]["percent"]) == (0, "SUCCEEDED", 100.0)
    assert (fleet.folder / "storage" / document["result"]["hls_path"]).is_file()


def test_demo_makes_a_stream_that_plays(fleet: Fleet, clip: Path) -> None:
    done = fleet.cli("demo", str(clip), "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["state"]) == (0, "SUCCEEDED")
    assert Path(document["page"]).is_file()
    assert fleet.left_running() == []


def test_demo_of_a_broken_file_says_why(fleet: Fleet, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 100)
    done = fleet.cli("demo", str(text))
    assert done.returncode == 5
    assert "unsupported_format" in done.stdout
    assert fleet.cli("demo", "/no/such.mp4").returncode == 3


def test_checking_the_database_again_does_not_blind_open_connections(fleet: Fleet) -> None:
    """Closing a descriptor of the file drops this process's locks; the next one to leave then deletes the WAL."""
    fleet.submit("job-wait", "noop")
    upgrade(f"sqlite:///{fleet.folder / 'mediaworker.db'}")
    assert fleet.job("job-wait").state is JobState.QUEUED
    assert fleet.cli("jobs", "list").returncode == 0
    assert fleet.cli("jobs", "cancel", "job-wait").returncode == 0
    assert fleet.job("job-wait").state is JobState.CANCELLED


def test_demo_of_the_content_worker_goes_from_an_event_to_a_search_hit(fleet: Fleet, clip: Path) -> None:
    done = fleet.cli("demo", "--content", str(clip), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    content = document["content_id"]
    assert {name: job["state"] for name, job in document["jobs"].items()} == dict.fromkeys(
        ("thumbnail", "metadata", "index"), "SUCCEEDED"
    )
    picture = Path(document["jobs"]["thumbnail"]["result"]["path"])
    assert picture.read_bytes()[:3] == b"\xff\xd8\xff"
    assert picture == fleet.folder / "cache" / "thumbnails" / f"{content}.jpg"
    assert document["record"]["resolution"] == "1280x720"
    assert document["record"]["video_codec"] == "h264"
    assert {event["type"]: event["data"]["content_id"] for event in document["events"]} == {
        "worker.thumbnail_ready": content,
        "worker.metadata_ready": content,
    }
    assert document["search"] == {"데모": [content], "fractal": [content], "fractel": [content]}
    assert json.loads(fleet.cli("search", "fractal", "--json").stdout)[0]["id"] == content
