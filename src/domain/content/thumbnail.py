"""Where a thumbnail is taken, and when a picture is too dark to be one (contracts.md 4.2)."""

from __future__ import annotations

DARK = 10.0
"""Mean brightness (0-255) under which a picture counts as black."""

LATER_SECONDS = (10.0, 30.0, 60.0)
"""Where else to look first: what the older worker's users know."""

LATER_SHARES = (0.25, 0.5, 0.75, 0.9, 0.0)
"""Then these shares of the duration; the very first picture is the last resort."""

NEAR_SECONDS = 0.5
"""Two places this near show the same."""


def places(duration_seconds: float, position: float) -> list[float]:
    """Seconds to look at, in this order, each inside the film and none twice. `position`: 0-1 of the duration."""
    wanted = [
        min(max(position, 0.0), 1.0) * duration_seconds,
        *(second for second in LATER_SECONDS if second < duration_seconds),
        *(share * duration_seconds for share in LATER_SHARES),
    ]
    chosen: list[float] = []
    for second in wanted:
        if all(abs(second - other) >= min(NEAR_SECONDS, duration_seconds / 20) for other in chosen):
            chosen.append(round(second, 3))
    return chosen
