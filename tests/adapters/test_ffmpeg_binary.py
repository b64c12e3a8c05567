"""Which ffmpeg is used, and what is said when it will not do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from src.domain.errors import ConfigError
from src.infrastructure.ffmpeg.binary import capabilities, find_ffmpeg, major_version


def program(folder: Path, version: str) -> Path:
    path = folder / "ffmpeg"
    path.write_text(f"#!{sys.executable} -IS\nprint({version!r})\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("line", "major"),
    [
        ("ffmpeg version n9.0.2-17-g2a571b6068 Copyright", 9),
        ("ffmpeg version 7.0.2-static https://example.org", 7),
        ("ffmpeg version 5.1.9-0+deb12u1 Copyright", 5),
        ("ffmpeg version N-118000-gabc Copyright", 0),
    ],
)
def test_the_version_is_read_from_every_way_it_is_printed(line: str, major: int) -> None:
    assert major_version(line) == major


def test_the_configured_binary_wins(tmp_path: Path) -> None:
    path = program(tmp_path, "ffmpeg version 5.0.1 x")
    assert find_ffmpeg(str(path), {"PATH": "/nowhere"}) == path


def test_a_configured_binary_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing-here"):
        find_ffmpeg(str(tmp_path / "nothing-here"), {})


def test_path_is_used_from_version_7_on(tmp_path: Path) -> None:
    path = program(tmp_path, "ffmpeg version 7.1 x")
    assert find_ffmpeg(None, {"PATH": str(tmp_path)}) == path
    program(tmp_path, "ffmpeg version 6.1 x")
    assert find_ffmpeg(None, {"PATH": str(tmp_path)}) != path


def test_something_else_called_ffmpeg_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not ffmpeg"):
        capabilities(program(tmp_path, "hello"))


def test_the_binary_in_use_can_do_everything_a_plan_may_ask_for() -> None:
    assert capabilities(find_ffmpeg()).check().missing == ()


def test_a_missing_feature_is_named_with_the_way_out() -> None:
    found = capabilities(find_ffmpeg())
    poor = replace(found, filters=found.filters - {"zscale"}, encoders=found.encoders - {"libx264"})
    with pytest.raises(ConfigError, match="encoder libx264, filter zscale") as caught:
        poor.check()
    assert caught.value.fix is not None
