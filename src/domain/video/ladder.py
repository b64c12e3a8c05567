"""Which renditions a picture gets. The ladder is data; the rule that picks from it knows shapes, not codecs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from src.domain.errors import ConfigError
from src.domain.video.plan import Rung
from src.domain.video.source import VideoStream

NEARLY = Fraction(9, 10)
"""A picture whose short side reaches 90 % of a rung (1072 of 1080) takes that rung at its own size."""


MOST_RATE = 1_000_000_000
"""bit/s: x264 counts the buffer, twice as much, in 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a ladder: `short_side` in pixels (the height of a landscape picture, the width of a portrait one),
    capped CRF with `maxrate` and `bufsize` in bit/s."""

    name: str
    short_side: int
    crf: float
    maxrate: int
    bufsize: int
    profile: str = "high"


def step(short_side: int, maxrate: int, *, crf: float = 23.0, profile: str = "high") -> Step:
    """A step named after its short side, with a buffer of two seconds at `maxrate`."""
    return Step(
        name=f"{short_side}p",
        short_side=short_side,
        crf=crf,
        maxrate=maxrate,
        bufsize=2 * maxrate,
        profile=profile,
    )


Ladder = tuple[Step, ...]
"""Steps from the smallest to the largest."""

DEFAULT: Ladder = (
    step(240, 400_000),
    step(360, 800_000),
    step(480, 1_400_000),
    step(720, 2_800_000),
    step(1080, 5_000_000),
)
"""CRF 23 under the caps most published ladders use; video.md 1 measured what CRF saves at which quality."""

ACADEMY: Ladder = (
    step(240, 400_000, profile="main"),
    step(360, 800_000, profile="main"),
    step(720, 2_500_000, profile="main"),
)
"""The academy's ladder of 02-14 (contracts.md 1.10: 426x240, 640x360, 1280x720 at 400k, 800k and 2500k, main profile). Its
average rates are caps here, its fixed 16:9 sizes are short sides: a portrait or 4:3 picture keeps its shape."""

LADDERS: Mapping[str, Ladder] = {"default": DEFAULT, "academy": ACADEMY}


EACH_RUNG = "give each rung short_side (pixels) and maxrate (bit/s)"


def ladder_from_json(steps: Sequence[Mapping[str, Any]]) -> Ladder:
    """A ladder from settings: [{"short_side": 720, "maxrate": 2800000, "crf": 23, "profile": "high"}, ...], `crf` and
    `profile` optional. Raises ConfigError."""
    try:
        for number, row in enumerate(steps, 1):
            if missing := [name for name in ("short_side", "maxrate") if name not in row]:
                named = f"rung {number}" + (f" (short_side {row['short_side']})" if "short_side" in row else "")
                raise ConfigError(f"the ladder's {named} has no {' and no '.join(missing)}", fix=EACH_RUNG)
        ladder = [
            step(
                int(row["short_side"]),
                int(row["maxrate"]),
                crf=float(row.get("crf", 23)),
                profile=str(row.get("profile", "high")),
            )
            for row in steps
        ]
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise ConfigError(
            f"the ladder can't be read: {error!r}",
            fix=EACH_RUNG,
        ) from error
    wrong = [
        row.name
        for row in ladder
        if not (16 <= row.short_side <= 4320 and 0 <= row.crf <= 51 and 0 < row.maxrate <= MOST_RATE)
    ]
    unknown = {row.profile for row in ladder} - {"baseline", "main", "high"}
    sizes = [row.short_side for row in ladder]
    if not ladder or wrong or unknown or len(set(sizes)) != len(sizes):
        raise ConfigError(
            "the ladder is not usable",
            fix="give at least one rung; short_side 16-4320 and each once, crf 0-51, maxrate 1-1000000000, profile baseline, main or high",
        )
    return tuple(sorted(ladder, key=lambda row: row.short_side))


def choose_rungs(video: VideoStream, ladder: Ladder) -> tuple[Rung, ...]:
    """The rungs of one picture, largest first. Never larger than the picture on a screen, in its shape (pixel shape and
    rotation applied), even sizes, at least one: a picture smaller than every step gets its own size."""
    width, height = video.display_size
    short = min(width, height)
    chosen = [row for row in ladder if row.short_side * NEARLY <= short] or [
        min(ladder, key=lambda row: row.short_side)
    ]
    rungs: list[Rung] = []
    for row in sorted(chosen, key=lambda row: -row.short_side):
        scale = min(Fraction(1), row.short_side / short)
        rung = Rung(
            name=row.name,
            width=_even(width * scale, width),
            height=_even(height * scale, height),
            crf=row.crf,
            maxrate=row.maxrate,
            bufsize=row.bufsize,
            profile=row.profile,
        )
        if not rungs or (rung.width, rung.height) != (
            rungs[-1].width,
            rungs[-1].height,
        ):
            rungs.append(rung)
    return tuple(rungs)


def _even(value: Fraction, most: Fraction) -> int:
    """The nearest even number of pixels, not above `most`; H.264 4:2:0 has no odd sizes."""
    return max(2, min(2 * round(value / 2), 2 * int(most / 2)))
