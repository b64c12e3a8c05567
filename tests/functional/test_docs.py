"""What the documentation shows is run as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from src.domain.job import JobState
from tests.functional.fleet import ROOT, Fleet


def test_the_job_type_of_the_how_to_page_works_as_printed(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(
        r"```python\n(# mycompany/jobs\.py\n.*?)```", (ROOT / "docs/adding-a-job.md").read_text(), re.DOTALL
    )
    package = tmp_path / "mycompany"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "jobs.py").write_text(code)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    fleet.settings = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "WORKER_JOBS__MODULES": "mycompany.jobs"}
    fleet.adapters.storage().put_bytes("notes/a.txt", b"one two three", content_type="text/plain", cache_control="")
    body = {
        "id": "count-1",
        "type": "count_words",
        "payload": {"key": "notes/a.txt"},
        "created_at": "2026-01-01T00:00:00Z",
    }
    fleet.publish(json.dumps({**body, "retry_count": 0, "max_retries": 3}).encode())
    assert fleet.drain() == 0
    job = fleet.job("count-1")
    assert (job.state, job.result) == (JobState.SUCCEEDED, {"words": 3})


def test_python_publishes_as_the_page_shows(fleet: Fleet) -> None:
    page = (ROOT / "docs/publishing.md").read_text()
    (code,) = re.findall(
        r"```python\n(import json\nimport uuid\n\nfrom src\.application\.ports\.queue import.*?)```", page, re.DOTALL
    )
    assert fleet.cli("db", "upgrade").returncode == 0
    done = subprocess.run(
        [sys.executable, "-c", code], env=fleet.environ(), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(fleet.cli("queues", "--json").stdout)["queues"][0]["ready"] == 1
    assert fleet.drain() == 0
    (job,) = json.loads(fleet.cli("jobs", "list", "--json").stdout)
    assert job["type"] == "thumbnail", "not a dead letter, but a job"


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 200


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    targets = [target for target in re.findall(r"\]\(([^)#]+)", text) if "://" not in target]
    missing = [target for target in targets if not ((ROOT / page).parent / target).exists()]
    assert missing == []
