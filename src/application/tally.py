"""The numbers of one process."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from src.application.metrics import DURATION, JOBS
from src.application.ports.clock import Clock
from src.application.ports.meter import Metric

WINDOW_SECONDS = 300.0
"""What rates are told of where nobody keeps a history: the range of the rules in docs/metrics.md."""

SLICE_SECONDS = 10.0
"""How finely the window moves."""

FAILED = ("failed", "dead")

Labels = tuple[str, ...]


@dataclass(slots=True)
class Histogram:
    """`counts[i]`: values up to the metric's bucket i and above the one before; the last one: above all."""

    counts: list[int]
    total: float = 0.0


@dataclass(slots=True)
class Slice:
    """A piece of the window."""

    begins: float
    jobs: int = 0
    failed: int = 0
    runs: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """The last `over_seconds` of this process (fewer when it is younger). Jobs in a second; the share of the ended ones that failed
    and the mean seconds of an execution, None where there was none."""

    over_seconds: float
    processing_rate: float
    failure_rate: float | None
    mean_seconds: float | None


@dataclass(slots=True)
class Tally:
    """Meter. A call costs a dictionary look-up, however many jobs it stands for."""

    clock: Clock
    _counters: dict[tuple[Metric, Labels], int] = field(default_factory=dict)
    _histograms: dict[tuple[Metric, Labels], Histogram] = field(default_factory=dict)
    _window: deque[Slice] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _began: float = field(init=False)
    """monotonic"""

    def __post_init__(self) -> None:
        self._began = self.clock.monotonic()

    def add(self, metric: Metric, *labels: str, amount: int = 1) -> None:
        """Count; an `amount` of 0 makes the metric appear."""
        _fits(metric, labels)
        with self._lock:
            self._counters[metric, labels] = self._counters.get((metric, labels), 0) + amount
            if metric is JOBS and amount:
                piece = self._piece()
                piece.jobs += amount
                piece.failed += amount if labels[1] in FAILED else 0

    def observe(self, metric: Metric, *labels: str, value: float, times: int = 1) -> None:
        """Count in the value's bucket."""
        _fits(metric, labels)
        with self._lock:
            found = self._histograms.get((metric, labels))
            if found is None:
                found = self._histograms[metric, labels] = Histogram([0] * (len(metric.buckets) + 1))
            found.counts[bisect_left(metric.buckets, value)] += times
            found.total += value * times
            if metric is DURATION and times:
                piece = self._piece()
                piece.runs += times
                piece.seconds += value * times

    def counters(self) -> Mapping[tuple[Metric, Labels], int]:
        """As they stand."""
        with self._lock:
            return dict(self._counters)

    def histograms(self) -> Mapping[tuple[Metric, Labels], tuple[Sequence[int], float]]:
        """{...: (how many in each bucket, sum of the values)}, as they stand."""
        with self._lock:
            return {key: (tuple(found.counts), found.total) for key, found in self._histograms.items()}

    def count(self, metric: Metric, *labels: str) -> int:
        """One counter."""
        with self._lock:
            return self._counters.get((metric, labels), 0)

    def recent(self) -> Recent:
        """Of the window."""
        with self._lock:
            now = self.clock.monotonic()
            self._forget(now)
            over = max(1.0, min(WINDOW_SECONDS, now - self._began))
            jobs, failed = sum(each.jobs for each in self._window), sum(each.failed for each in self._window)
            runs, seconds = sum(each.runs for each in self._window), sum(each.seconds for each in self._window)
        return Recent(
            over_seconds=over,
            processing_rate=jobs / over,
            failure_rate=failed / jobs if jobs else None,
            mean_seconds=seconds / runs if runs else None,
        )

    def _piece(self) -> Slice:
        now = self.clock.monotonic()
        if not self._window or now - self._window[-1].begins >= SLICE_SECONDS:
            self._forget(now)
            self._window.append(Slice(now))
        return self._window[-1]

    def _forget(self, now: float) -> None:
        while self._window and now - self._window[0].begins > WINDOW_SECONDS:
            self._window.popleft()


def _fits(metric: Metric, labels: Labels) -> None:
    if len(labels) != len(metric.labels):
        raise TypeError(f"{metric.name} has the labels {tuple(metric.labels)}, got {labels!r}")
