"""Tables fit their terminal."""

from __future__ import annotations

import pytest

from src.interfaces.cli.output import LEAST_WIDTH, fitting, print_table


def test_a_table_that_fits_is_left_alone() -> None:
    assert fitting([("id", "message"), ("12345678", "short")], 80) == [8, 7]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_widest_columns_give_until_the_line_fits(width: int) -> None:
    rows = [
        ("id", "state", "message", "since"),
        ("a7715d7f-0", "SUCCEEDED", "m" * 300, "3 min"),
        ("b", "F", "x", "1 s"),
    ]
    widths = fitting(rows, width)
    assert sum(widths) + 2 * len(widths) <= width
    assert widths[3] == 5
    assert min(widths[0], widths[2]) >= LEAST_WIDTH


def test_a_terminal_too_narrow_for_anything_ends_the_cutting() -> None:
    assert fitting([("a" * 50, "b" * 50)], 5) == [LEAST_WIDTH, LEAST_WIDTH]


def test_piped_every_row_is_one_line_with_all_of_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "message"), [("1", "m" * 500), ("2", "short")], empty="none")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert len(lines) == 4
    assert "m" * 500 in lines[2]
