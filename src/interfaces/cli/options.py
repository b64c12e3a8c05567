"""Kinds of option values that click takes too widely."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
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


SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

Moment = Callable[[float], float]
"""Given the time of now, the time that was meant; both in epoch seconds."""


def since(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Moment | None:
    """An option's callback: `90s`, `30m`, `2h` or `7d` ago, or a time in ISO 8601 (UTC unless it says otherwise)."""
    if value is None:
        return None
    if ago := re.fullmatch(r"(\d{1,9})([smhd])", value):
        seconds = int(ago[1]) * SECONDS[ago[2]]
        return lambda now: now - seconds
    try:
        at = datetime.fromisoformat(value)
        epoch = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"{value!r} is no time: say 30m, 2h or 7d, or 2026-01-31T12:00") from error
    return lambda _now: epoch
