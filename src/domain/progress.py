"""How far a running job is, as people and the status command see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressReport:
    """One reading. `percent` is 0-100 over the whole job; steps count from 1; `parts` holds per-rendition percents."""

    percent: float
    step: str
    step_index: int
    step_total: int
    eta_seconds: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    detail: str | None = None

    @property
    def reached(self) -> tuple[object, ...]:
        """How far the work is: what must change for it to count as progress. An ETA that ticks is not work."""
        return self.percent, self.step, self.step_index, tuple(sorted(self.parts.items()))

    def after(self, earlier: ProgressReport | None) -> ProgressReport:
        """The same reading, never below an earlier one of the same attempt (reliability.md I8)."""
        percent = min(100.0, max(0.0, self.percent))
        if earlier is not None and percent < earlier.percent:
            percent = earlier.percent
        return replace(self, percent=round(percent, 1))

    def to_json(self) -> dict[str, Any]:
        """The stored and printed form."""
        return {
            "percent": self.percent,
            "step": self.step,
            "step_index": self.step_index,
            "step_total": self.step_total,
            "eta_seconds": self.eta_seconds,
            "parts": dict(self.parts),
            "detail": self.detail,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ProgressReport:
        """Read what `to_json` wrote."""
        return cls(
            percent=float(document["percent"]),
            step=str(document["step"]),
            step_index=int(document["step_index"]),
            step_total=int(document["step_total"]),
            eta_seconds=document.get("eta_seconds"),
            parts=document.get("parts") or {},
            detail=document.get("detail"),
        )
