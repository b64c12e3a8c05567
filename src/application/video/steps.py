"""The seven steps of a video job as its owner sees them (contracts.md 1.10)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from src.application.ports.clock import Clock
from src.domain.progress import ProgressReport

STEPS: Mapping[str, tuple[float, float]] = {
    "presigning": (0, 5),
    "downloading": (5, 15),
    "probing": (15, 25),
    "transcoding": (50, 85),
    "validating": (85, 90),
    "thumbnail": (90, 95),
    "uploading": (95, 100),
}
"""{name: (percent at its start, at its end)}. "presigning" is finding the source and reading its headers by ranges;
"probing" compares what was downloaded with them and looks for chunks that an earlier attempt finished."""

NAMES = tuple(STEPS)


@dataclass
class Steps:
    """Where one attempt is. Thread-safe; shares are 0-1 of the current step."""

    report: Callable[[ProgressReport], None]
    clock: Clock
    _name: str = field(default=NAMES[0], init=False)
    _since: float = field(default=0.0, init=False)
    _first: float = field(default=0.0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def enter(self, name: str, *, done: float = 0.0, detail: str | None = None) -> None:
        """Begin a step, of which `done` was done before (resume); the time left is judged by the rest."""
        with self._lock:
            self._name, self._since, self._first = name, self.clock.monotonic(), done
        self.at(done, detail=detail)

    def at(self, share: float, *, parts: Mapping[str, float] | None = None, detail: str | None = None) -> None:
        """A reading. `parts`: percent per rendition."""
        share = min(1.0, max(0.0, share))
        with self._lock:
            name, passed, fresh = self._name, self.clock.monotonic() - self._since, share - self._first
        start, end = STEPS[name]
        eta = None
        if name == "transcoding" and fresh > 0:
            eta = round(passed * (1 - share) / fresh, 1)
        self.report(
            ProgressReport(
                percent=start + (end - start) * share,
                step=name,
                step_index=NAMES.index(name) + 1,
                step_total=len(NAMES),
                eta_seconds=eta,
                parts=dict(parts or {}),
                detail=detail,
            )
        )
