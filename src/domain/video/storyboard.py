"""The storyboard: how many tiles a film gets, how large a still picture may be, and the WebVTT that names each tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

COLUMNS = 10
"""Tiles in a row of a sheet, as players that show such previews expect."""

ROWS = 10
SHORTEST_INTERVAL_SECONDS = 1.0
"""More than a tile a second tells a viewer nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileGrid:
    """`tiles` pictures, one each `interval_seconds` from second 0 on, in rows of `columns`."""

    tiles: int
    interval_seconds: float
    columns: int
    rows: int

    @property
    def sheets(self) -> int:
        """How many sheets they fill."""
        return ceil(self.tiles / (self.columns * self.rows))

    def tiles_on(self, sheet: int) -> int:
        """How many of a sheet's places are used; sheets count from 0."""
        return min(self.columns * self.rows, self.tiles - sheet * self.columns * self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpriteSheet:
    """One sheet as the WebVTT names it: `name` relative to the WebVTT, a tile's size in pixels, places used."""

    name: str
    columns: int
    width: int
    height: int
    interval_seconds: float
    tiles: int


def tile_grid(duration_seconds: float, most_tiles: int) -> TileGrid:
    """At most `most_tiles` tiles, none closer than a second, at least one."""
    interval = max(SHORTEST_INTERVAL_SECONDS, duration_seconds / max(1, most_tiles))
    tiles = min(max(1, most_tiles), max(1, ceil(round(duration_seconds / interval, 3))))
    columns = min(COLUMNS, tiles)
    return TileGrid(tiles=tiles, interval_seconds=interval, columns=columns, rows=min(ROWS, ceil(tiles / columns)))


def fitted(display_size: tuple[Fraction, Fraction], width: int, height: int) -> tuple[int, int]:
    """The largest even size that fits into width x height with the picture's shape; never larger than the picture."""
    shown_width, shown_height = display_size
    scale = min(Fraction(width) / shown_width, Fraction(height) / shown_height, Fraction(1))
    return _even(shown_width * scale, width), _even(shown_height * scale, height)


def _even(length: Fraction, most: int) -> int:
    return max(2, min(round(length / 2) * 2, most - most % 2))


def storyboard_webvtt(sheets: Sequence[SpriteSheet], duration_seconds: float) -> str:
    """One cue per tile, in order, ending with the film: `name.jpg#xywh=x,y,w,h`."""
    lines = ["WEBVTT", ""]
    start = 0.0
    for sheet in sheets:
        for tile in range(sheet.tiles):
            if start >= duration_seconds:
                break
            end = min(start + sheet.interval_seconds, duration_seconds)
            x, y = tile % sheet.columns * sheet.width, tile // sheet.columns * sheet.height
            lines.append(f"{_clock(start)} --> {_clock(end)}")
            lines.extend([f"{sheet.name}#xywh={x},{y},{sheet.width},{sheet.height}", ""])
            start = end
    return "\n".join(lines)


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
