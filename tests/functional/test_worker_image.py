"""`pip install -r requirements-worker.txt` into an empty environment, and what the worker's modules import there.

The one test that needs a package index: whichever this machine is set up for.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEVER = {"django", "pytest", "hypothesis", "moto", "imageio_ffmpeg", "mypy", "ruff", "importlinter", "jinja2"}
SDKS = {"boto3", "botocore", "redis", "psycopg", "av"}
"""Installed for those who configure them; imported by nobody else (av: only inside the probe's own process)."""

LOOK = """
import importlib, importlib.util, json, sys
importlib.import_module(sys.argv[1])
wanted = json.loads(sys.argv[2])
print(json.dumps({
    "loaded": sorted({name.partition(".")[0] for name in sys.modules}),
    "installed": [name for name in wanted if importlib.util.find_spec(name)],
}))
"""


def entry_points() -> list[str]:
    mains = sorted((ROOT / "src/interfaces/workers").glob("*/main.py"))
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in mains]
    return [*modules, "src.interfaces.workers.executor", "src.interfaces.workers.runner"]


def installer(python: Path) -> list[str]:
    """uv where the project's environment has it (seconds), else pip, from this interpreter."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", str(python)]
    return [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile"]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the worker's packages and nothing else."""
    folder = tmp_path_factory.mktemp("image") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    command = [*installer(python), "--require-hashes", "--only-binary", ":all:", "-r", "requirements-worker.txt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return python


def look(python: Path, module: str) -> dict[str, list[str]]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(python), "-c", LOOK, module, json.dumps(sorted(NEVER | SDKS))]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, list[str]] = json.loads(done.stdout)
    return answer


@pytest.mark.xdist_group("worker_image")
@pytest.mark.parametrize("module", entry_points())
def test_a_worker_starts_from_its_requirements_without_django_tests_or_unused_sdks(python: Path, module: str) -> None:
    seen = look(python, module)
    assert module.partition(".")[0] in seen["loaded"]
    assert not set(seen["loaded"]) & (NEVER | SDKS)
    assert set(seen["installed"]) == SDKS


@pytest.mark.xdist_group("worker_image")
def test_what_the_engine_and_the_video_job_import_brings_no_unused_sdk_either(python: Path) -> None:
    for module in ("src.interfaces.wiring.worker", "src.interfaces.wiring.assemble", "src.infrastructure.db.ledger"):
        assert not set(look(python, module)["loaded"]) & (NEVER | SDKS), module
    assert "sqlalchemy" in look(python, "src.infrastructure.db.ledger")["loaded"]
