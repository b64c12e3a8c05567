"""The peers' job bodies as short jobs: WORKER_JOBS__MODULES=benchmarks.peers.jobs, with the harness's `common` importable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from src.application.catalog import JobType
from src.application.outcome import Done, Run

BODIES = ("noop", "sleep1", "lat", "crash")


@cache
def bodies() -> Mapping[str, Callable[[Any], object]]:
    """The harness's; it is importable only where jobs run."""
    found: Mapping[str, Callable[[Any], object]] = import_module("common").SYNC
    return found


@dataclass(frozen=True, slots=True)
class Handler:
    """Runs the harness's own body of the job's kind."""

    def handle(self, request: tuple[str, Any], run: Run) -> Done:
        """Every peer's jobs run the same code."""
        kind, arg = request
        bodies()[kind](arg)
        return Done()


def _parser(kind: str) -> Any:
    def parse(_tenant: str, payload: Mapping[str, Any]) -> tuple[str, Any]:
        return kind, payload["arg"]

    return parse


JOB_TYPES = [
    JobType(name=kind, parse=_parser(kind), handler="benchmarks.peers.jobs:Handler", short=True) for kind in BODIES
]
