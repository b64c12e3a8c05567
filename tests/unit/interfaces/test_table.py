"""Tables as people and as programs get them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import pytest

from src.interfaces.cli.output import print_value
from src.interfaces.cli.table import Cell, age, fitted, moment, print_table, short_ids

UUIDS = ["0f3c9a52-8a11-4c0e-9d5f-6f1b1f2f3a4b", "7b1e22d0-1111-4222-8333-944455566677"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes stdout a terminal of so many columns."""

    def of(columns: int) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((columns, 24)))

    return of


def jobs(message: str) -> tuple[Sequence[object], Sequence[Sequence[object]]]:
    columns = ("id", "type", "state", "attempts", Cell("created", "age"), "error", "message")
    rows = [
        (name, "video", "FAILED", "1/5", moment(1_000.0, 1_200.0), "unsupported_format", message)
        for name in short_ids(UUIDS)
    ]
    return columns, rows


def test_a_terminal_gets_one_line_a_row_short_ids_and_ages(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(80)
    columns, rows = jobs("a sentence\nof an error " * 40)
    print_table(columns, rows, empty="")
    head, rule, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "type", "state", "attempts", "age", "error", "message"]
    assert set(rule) == {"-", " "}
    assert [line.split()[0] for line in lines] == ["0f3c9a52", "7b1e22d0"]
    assert all(len(line) <= 80 and "3 min" in line and line.endswith("…") for line in lines)


def test_a_pipe_gets_every_value_whole_without_filling_up(capsys: pytest.CaptureFixture[str]) -> None:
    long = "a sentence of an error " * 40
    columns, rows = jobs(long)
    print_table(columns, [*rows, ("x", *rows[0][1:-1], "short")], empty="")
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "type", "state", "attempts", "created", "error", "message"]
    assert [line.split()[0] for line in lines] == [*UUIDS, "x"]
    assert all(long.strip() in line and "1970-01-01T00:16:40.000Z" in line for line in lines[:2])
    assert lines[2].endswith("short")
    assert len(lines[2]) < 200


def test_a_very_narrow_terminal_still_gets_one_line_a_row() -> None:
    lines = fitted([["id", "error", "message"], ["0f3c9a52", "unsupported_format", "字" * 50]], 20)
    assert len(lines) == 3
    assert all(len(line) <= 20 for line in lines)
    assert lines[2].startswith("0f3c9a52")


def test_ids_that_begin_alike_are_told_apart() -> None:
    shown = [cell.short for cell in short_ids(["order-2024-1", "order-2024-2", "order-2024-2.1", UUIDS[0]])]
    assert shown == ["order-2024-1", "order-2024-2", "order-2024-2.", "0f3c9a52"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (45, "45 s"), (200, "3 min"), (3 * 3600, "3 h"), (5 * 86_400, "5 days")],
)
def test_ages_are_words(seconds: float, words: str) -> None:
    assert age(seconds) == words


def test_a_huge_result_is_cut_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_value("Result", {"files": ["x" * 500, *range(500)], "odd": "\x9b31m"})
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[-1]) == ("Result:", "  … and 446 more lines: --json")
    assert max(map(len, lines)) < 250
    print_value("Result", {"odd": "\x9b31m"})
    assert "\x9b" not in capsys.readouterr().out
