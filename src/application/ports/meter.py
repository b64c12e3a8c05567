"""Counting what happens, for whoever watches the workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    """What a metric is, in the words of Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """`name` without the suffixes that an exposition adds. The values of `labels` must be few: never a job's id, a tenant, or words
    of a message. `buckets` (a histogram's) are upper bounds in rising order."""

    name: str
    kind: Kind
    help: str
    labels: Sequence[str] = ()
    buckets: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """A gauge at this moment. `labels` are values, in the metric's order."""

    metric: Metric
    labels: Sequence[str]
    value: float


class Meter(Protocol):
    """Never fails and never waits: memory of this process, read when somebody asks. Thread-safe."""

    def add(self, metric: Metric, *labels: str, amount: int = 1) -> None:
        """Count `amount` more."""

    def observe(self, metric: Metric, *labels: str, value: float, times: int = 1) -> None:
        """The histogram's `value` was seen so many times."""


class Unmetered:
    """Meter that nobody reads."""

    def add(self, metric: Metric, *labels: str, amount: int = 1) -> None:
        """Nothing."""

    def observe(self, metric: Metric, *labels: str, value: float, times: int = 1) -> None:
        """Nothing."""


UNMETERED = Unmetered()
