"""Kinds of option values that click takes too widely."""

from __future__ import annotations

import math
from typing import Any

import click

MOST_ROWS = 2**31
"""Rows that a list may pass over; databases refuse larger numbers with an error of their own."""

OFFSET = click.IntRange(min=0, max=MOST_ROWS)


class Finite(click.FloatRange):
    """A number in its range. NaN compares with nothing: a wait of so many seconds would never end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a number to count with.", param, ctx)
        return number
