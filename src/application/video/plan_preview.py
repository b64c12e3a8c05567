"""What would be done with a file, without doing it (`mediaworker plan FILE`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from src.application.ports.media import Prober, ReadRange
from src.application.video.result import metadata
from src.domain.video.ladder import LADDERS
from src.domain.video.plan import Plan
from src.domain.video.planning import PlanSettings, estimated_cpu_seconds, make_plan, plan_hash, plan_to_json

Commands = Callable[[Plan], Sequence[Sequence[str]]]
"""plan -> the command lines that would run it, chunks first and sound tracks last."""


@dataclass(frozen=True, slots=True)
class PreviewPlan:
    """Probes and plans; downloads and writes nothing."""

    prober: Prober
    settings: PlanSettings
    commands: Commands

    def preview(self, read: ReadRange, size: int, *, ladder: str | None = None) -> dict[str, Any]:
        """A JSON document: source facts, plan, its hash, command lines, estimated cpu seconds of one core. Raises what
        the prober raises, KeyError for a ladder that is no preset."""
        media = self.prober.probe(read, size)
        settings = self.settings if ladder is None else replace(self.settings, ladder=LADDERS[ladder])
        plan = make_plan(media, settings)
        return {
            "source": metadata(media, plan) | {"probed_bytes": media.probed_bytes, "probed_reads": media.probed_reads},
            "plan": plan_to_json(plan),
            "plan_hash": plan_hash(plan),
            "commands": [list(argv) for argv in self.commands(plan)],
            "estimated_cpu_seconds": estimated_cpu_seconds(plan),
        }
