"""The numbers in Prometheus' text format. A registry of our own for each answer: nothing of the library's global state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from src.application.ports.meter import Kind, Metric, Reading

CONTENT_TYPE = CONTENT_TYPE_LATEST

Counters = Mapping[tuple[Metric, tuple[str, ...]], int]
Histograms = Mapping[tuple[Metric, tuple[str, ...]], tuple[Sequence[int], float]]


class _Given(Collector):
    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        """What was given."""
        return self._families


def exposition(counters: Counters, histograms: Histograms, readings: Sequence[Reading]) -> bytes:
    """One answer to a scrape: these, and the process's own memory, CPU time and open files (`process_...`)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given([*_families(counters, histograms, readings)]))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _families(counters: Counters, histograms: Histograms, readings: Sequence[Reading]) -> Iterator[Family]:
    counted: dict[str, CounterMetricFamily] = {}
    for (metric, labels), value in sorted(counters.items(), key=_order):
        if metric.name not in counted:
            counted[metric.name] = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        counted[metric.name].add_metric(labels, value)
    yield from counted.values()
    spread: dict[str, HistogramMetricFamily] = {}
    for (metric, labels), (counts, total) in sorted(histograms.items(), key=_order):
        if metric.name not in spread:
            spread[metric.name] = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        bounds = [*map(str, metric.buckets), "+Inf"]
        spread[metric.name].add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
    yield from spread.values()
    gauges: dict[str, GaugeMetricFamily] = {}
    for reading in readings:
        metric = reading.metric
        if metric.kind is not Kind.GAUGE:
            raise TypeError(f"{metric.name} is a {metric.kind}, not a gauge")
        if metric.name not in gauges:
            gauges[metric.name] = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        gauges[metric.name].add_metric(reading.labels, reading.value)
    yield from gauges.values()


def _order(item: tuple[tuple[Metric, tuple[str, ...]], object]) -> tuple[str, tuple[str, ...]]:
    (metric, labels), _ = item
    return metric.name, labels
