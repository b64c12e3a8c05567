"""`/metrics` for Prometheus, and the four figures of seed 000 as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

from src.application.metrics import QUEUE_MESSAGES, QUEUE_UP
from src.interfaces.http.health import JSON, Page
from src.interfaces.wiring.numbers import Numbers

WAITING = ("ready", "delayed")


def pages(numbers: Numbers) -> Mapping[str, Page]:
    """{path: its page}."""
    return {"/metrics": lambda: _exposed(numbers), "/metrics.json": lambda: (JSON, _figures(numbers))}


def _exposed(numbers: Numbers) -> tuple[str, bytes]:
    from src.infrastructure.observability.exposition import CONTENT_TYPE, exposition

    readings = [*numbers.own(), *numbers.sounded()]
    return CONTENT_TYPE, exposition(numbers.tally.counters(), numbers.tally.histograms(), readings)


def _figures(numbers: Numbers) -> bytes:
    """Rates of this process; the queue is everybody's. null: there is nothing to tell it from."""
    recent, sounded = numbers.tally.recent(), numbers.sounded()
    known = any(each.metric is QUEUE_UP and each.value for each in sounded)
    waiting = sum(each.value for each in sounded if each.metric is QUEUE_MESSAGES and each.labels[1] in WAITING)
    mean = recent.mean_seconds
    document = {
        "worker.queue_size": int(waiting) if known else None,
        "worker.processing_rate": round(recent.processing_rate, 6),
        "worker.failure_rate": None if recent.failure_rate is None else round(recent.failure_rate, 6),
        "worker.avg_duration_ms": None if mean is None else round(1000 * mean, 3),
        "over_seconds": round(recent.over_seconds, 3),
    }
    return json.dumps(document).encode() + b"\n"
