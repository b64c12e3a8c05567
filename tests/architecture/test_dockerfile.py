"""The worker's image, as far as its recipe tells (reliability.md T28, T29). Nothing is built here."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPILERS = ("gcc", "g++", "build-essential", "clang", "make", "-dev")


@dataclass(frozen=True, slots=True)
class Line:
    """One instruction. `stage` counts from 0; -1 is before the first FROM."""

    stage: int
    keyword: str
    value: str


def parse(text: str) -> list[Line]:
    """Instructions with their continuation lines joined and comments dropped."""
    kept = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(kept))
    stage, lines = -1, []
    for line in joined.splitlines():
        keyword, _, value = line.strip().partition(" ")
        stage += keyword == "FROM"
        lines.append(Line(stage, keyword, " ".join(value.split())))
    return lines


LINES = parse((ROOT / "Dockerfile.worker").read_text())
LAST = max(line.stage for line in LINES)


def values(keyword: str, *, last_stage: bool = False) -> list[str]:
    return [line.value for line in LINES if line.keyword == keyword and (not last_stage or line.stage == LAST)]


def base_images() -> list[str]:
    arguments = dict(value.split("=", 1) for value in values("ARG"))
    images = [value.split(" ")[0] for value in values("FROM")]
    return [re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], image) for image in images]


def test_the_parser_joins_lines_and_counts_stages() -> None:
    lines = parse("# no\nARG A=1\nFROM a AS b\nRUN x \\\n# between\n && y\nFROM c\n")
    assert lines == [Line(-1, "ARG", "A=1"), Line(0, "FROM", "a AS b"), Line(0, "RUN", "x && y"), Line(1, "FROM", "c")]


def test_t28_every_base_image_is_pinned_to_a_patch_release() -> None:
    assert base_images()
    for image in base_images():
        assert re.search(r":\d+\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?$", image), image
        assert "latest" not in image


def test_t28_packages_are_installed_with_hashes_and_as_wheels_alone() -> None:
    installs = [step for value in values("RUN") for step in value.split("&&") if " install " in step and "pip" in step]
    locks = [re.search(r"-r /build/(\S+)", step) for step in installs]
    assert {lock[1] for lock in locks if lock} == {"requirements-worker.txt", "requirements-ffmpeg.txt"}
    assert all(
        lock and "--require-hashes" in s and "--only-binary=:all:" in s for lock, s in zip(locks, installs, strict=True)
    )


def test_t28_the_ffmpeg_lock_holds_that_wheel_alone_in_the_version_of_the_lock() -> None:
    text = (ROOT / "requirements-ffmpeg.txt").read_text()
    pins = re.findall(r"^([a-z0-9._-]+==\S+)", text, re.MULTILINE)
    assert [pin.split("==")[0] for pin in pins] == ["imageio-ffmpeg"]
    assert pins[0] in (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in text and "://" not in text


def test_t28_nothing_is_fetched_by_address() -> None:
    assert values("ADD") == []
    assert "://" not in " ".join(line.value for line in LINES)
    assert not [value for value in values("RUN") if re.search(r"\b(curl|wget|git)\b", value)]


def test_t29_the_user_is_a_number_and_not_root() -> None:
    (user,) = values("USER", last_stage=True)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    keywords = [line.keyword for line in LINES if line.stage == LAST]
    assert "RUN" not in keywords[keywords.index("USER") :]


def test_t29_the_health_check_tries_what_the_worker_needs() -> None:
    (check,) = values("HEALTHCHECK")
    command = json.loads(check.partition("CMD ")[2])
    assert command[:3] == ["python", "-m", "src.interfaces.cli.app"]
    assert "doctor" in command


@pytest.mark.parametrize("keyword", ["CMD", "ENTRYPOINT"])
def test_t29_processes_are_started_without_a_shell(keyword: str) -> None:
    (value,) = values(keyword)
    assert all(isinstance(word, str) for word in json.loads(value))


def test_t29_pid_1_reaps_and_passes_sigterm_on() -> None:
    (entry,) = values("ENTRYPOINT")
    assert json.loads(entry)[0].endswith("/tini")
    assert any("tini" in value for value in values("RUN", last_stage=True))
    assert values("STOPSIGNAL") == ["SIGTERM"]


def test_t29_the_command_is_a_worker_entry_point_that_exists() -> None:
    program, flag, module = json.loads(values("CMD")[0])
    assert (program, flag) == ("python", "-m")
    assert (ROOT / (module.replace(".", "/") + ".py")).is_file()


def test_the_image_s_other_command_is_the_one_that_is_documented_and_exists() -> None:
    said = {
        re.findall(r"python -m (\S+batch\.main)", (ROOT / name).read_text())[0]
        for name in ("Dockerfile.worker", "docs/batch-worker.md")
    }
    (module,) = said
    assert (ROOT / (module.replace(".", "/") + ".py")).is_file()


def test_t29_all_that_is_written_lies_in_the_volume() -> None:
    (volume,) = map(json.loads, values("VOLUME"))
    settings = dict(word.split("=", 1) for value in values("ENV", last_stage=True) for word in value.split(" "))
    assert volume == ["/data"]
    assert settings["WORKER_DATA_DIR"] == settings["TMPDIR"] == "/data"
    assert settings["PYTHONDONTWRITEBYTECODE"] == "1"


def test_t29_only_the_source_code_is_copied_from_the_project() -> None:
    copied = {value.split(" ")[0] for value in values("COPY") if not value.startswith("--from=")}
    assert copied == {"src", "LICENSE", "requirements-worker.txt", "requirements-ffmpeg.txt"}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_t29_no_compiler_no_django_no_pip_in_the_image() -> None:
    everything = " ".join(values("RUN")).lower()
    assert not [word for word in COMPILERS if re.search(rf"[\w-]*{re.escape(word)}(\s|$)", everything)]
    assert "django" not in everything
    assert any("uninstall --yes --quiet pip" in value for value in values("RUN", last_stage=True))


def test_old_builders_can_read_it() -> None:
    assert not [line for line in LINES if "<<" in line.value or "--link" in line.value or "--mount" in line.value]
