"""What every module keeps to, read from its syntax tree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LINES = 400
BANNED_WORDS = {"utils", "util", "helper", "helpers", "manager", "managers", "service", "services", "common", "misc"}
BANNED_IMPORTS = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
CLOCKS = {"time.time", "time.monotonic", "datetime.now", "datetime.utcnow", "random.random", "uuid.uuid4"}


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    tree = ast.parse(path.read_text())
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 50
    assert len(TESTS) > 20


def test_modules_are_named_after_what_they_do() -> None:
    assert not [path for path in SOURCES if {path.stem, path.parent.name} & BANNED_WORDS]


def test_no_module_is_longer_than_400_lines() -> None:
    assert not [path for path in SOURCES if len(path.read_text().splitlines()) > LINES]


def test_t15_nothing_turns_data_into_code() -> None:
    found = [f"{path}: {imported(path) & BANNED_IMPORTS}" for path in SOURCES if imported(path) & BANNED_IMPORTS]
    for path in SOURCES:
        for name, call in calls(path):
            shell = any(k.arg == "shell" and ast.unparse(k.value) != "False" for k in call.keywords)
            if shell or name in ("eval", "exec", "os.system", "os.popen", "yaml.load"):
                found.append(f"{path}:{call.lineno} {name}")
    assert found == []


def test_the_domain_reads_no_clock_and_throws_no_dice() -> None:
    domain = [path for path in SOURCES if path.is_relative_to(ROOT / "src/domain")]
    assert not [f"{p}: {name}" for p in domain for name, _ in calls(p) if name.endswith(tuple(CLOCKS))]


def test_the_domain_imports_the_standard_library_alone() -> None:
    domain = [path for path in SOURCES if path.is_relative_to(ROOT / "src/domain")]
    assert set().union(*map(imported, domain)) <= sys.stdlib_module_names | {"src"}


MAY_SKIP = {ROOT / "tests/adapters/test_launcher.py"}
"""What the kernel itself does not offer (Landlock, seccomp) cannot be tested on it; pytest -ra prints the reason."""


def test_no_test_is_skipped_but_for_what_the_kernel_lacks() -> None:
    skips = re.compile(r"(pytest\.|mark\.)(skip|skipif|importorskip)\b")
    assert not [path for path in TESTS if path not in {Path(__file__), *MAY_SKIP} and skips.search(path.read_text())]


def test_every_public_name_of_a_port_says_what_it_is_for() -> None:
    silent = []
    for path in (ROOT / "src/application/ports").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                silent.append(f"{path.name}: {node.name}")
    assert silent == []


def test_the_worker_image_installs_no_django_and_no_test_package() -> None:
    lines = (ROOT / "requirements-worker.txt").read_text().splitlines()
    names = {match[1].lower() for line in lines if (match := re.match(r"([A-Za-z0-9._-]+)==", line))}
    assert {"sqlalchemy", "boto3", "redis", "psycopg"} <= names
    assert not names & {"django", "pytest", "hypothesis", "mypy", "ruff", "import-linter", "imageio-ffmpeg"}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-worker.txt", "requirements-bootstrap.txt"])
def test_locks_name_hashes_and_no_registry(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "--hash=sha256:" in text
    assert "://" not in text


def entry_points() -> list[str]:
    paths = sorted((ROOT / "src/interfaces/workers").glob("*/main.py"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


@pytest.mark.parametrize("module", entry_points())
def test_an_entry_point_imports_no_sdk_that_is_not_configured(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    unwanted = {"django", "pytest", "hypothesis", "boto3", "botocore", "redis", "psycopg", "av", "ffmpeg"}
    assert not set(done.stdout.split()) & unwanted


def test_there_is_an_entry_point_to_import() -> None:
    assert "src.interfaces.workers.video.main" in entry_points()
