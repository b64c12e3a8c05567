"""What a scraper reads, and that nothing of a job's own can get into it."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from src.application.engine.health import Health
from src.application.engine.held import HeldRuns
from src.application.metrics import ATTEMPTS, CATALOGUE, DURATION, JOBS, QUEUE_MESSAGES, QUEUE_OLDEST, QUEUE_UP
from src.application.ports.meter import Kind, Reading
from src.application.soundings import Sounding
from src.application.tally import Tally
from src.domain.errors import QueueUnavailable
from src.infrastructure.observability.exposition import exposition
from src.interfaces.http.health import HealthServer
from src.interfaces.http.metrics import pages
from src.interfaces.wiring.numbers import Numbers
from tests.fakes.clock import FrozenClock

PAGE = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
UNITS = ("_seconds",)
LABELS = {
    *("type", "outcome", "error", "backend", "loop", "queue", "state", "sink", "entry", "late", "road"),
    *("worker", "version"),
}
"""Each of few values. Never a job, a tenant, a content, a key or a file (reliability.md T21)."""


class Worker:
    """Numbers of a worker, behind a port."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.tally, self.health = Tally(self.clock), Health(self.clock)
        self.away = False
        sounding = Sounding(QUEUE_UP, self._depth, self.clock)
        numbers = Numbers("content", self.tally, self.health, HeldRuns(), 4, ("act",), [sounding])
        self.server = HealthServer(self.health, "127.0.0.1", 0, pages(numbers))
        self.port = self.server.start()

    def _depth(self) -> Sequence[Reading]:
        if self.away:
            raise QueueUnavailable("no answer")
        readings = [Reading(QUEUE_MESSAGES, ("low", state), n) for state, n in (("ready", 3.0), ("delayed", 2.0))]
        return [*readings, Reading(QUEUE_MESSAGES, ("low", "in_flight"), 9.0), Reading(QUEUE_OLDEST, ("low",), 1.5)]

    def get(self, path: str) -> tuple[int, str, str]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.getheader("Content-Type") or "", answer.read().decode()
        finally:
            link.close()

    def samples(self) -> dict[tuple[str, frozenset[str]], float]:
        status, _, text = self.get("/metrics")
        assert status == 200, text
        return {
            (sample.name, frozenset(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.server.close()


def test_o3_a_scrape_tells_what_was_counted(worker: Worker) -> None:
    worker.tally.add(JOBS, "act", "succeeded", amount=5)
    worker.tally.add(ATTEMPTS, "act", "retried")
    worker.tally.observe(DURATION, "act", value=0.2, times=4)
    worker.tally.observe(DURATION, "act", value=99_999.0)
    worker.health.backend("queue", reachable=True)
    samples = worker.samples()
    assert samples["worker_jobs_total", frozenset(["act", "succeeded"])] == 5
    assert samples["worker_attempts_total", frozenset(["act", "retried"])] == 1
    assert samples["worker_job_duration_seconds_count", frozenset(["act"])] == 5
    assert samples["worker_job_duration_seconds_sum", frozenset(["act"])] == pytest.approx(99_999.8)
    assert samples["worker_job_duration_seconds_bucket", frozenset(["act", "0.5"])] == 4
    assert samples["worker_job_duration_seconds_bucket", frozenset(["act", "43200.0"])] == 4
    assert samples["worker_job_duration_seconds_bucket", frozenset(["act", "+Inf"])] == 5
    assert samples["worker_queue_messages", frozenset(["low", "ready"])] == 3
    assert samples["worker_queue_oldest_seconds", frozenset(["low"])] == 1.5
    assert samples["worker_queue_up", frozenset()] == 1
    assert samples["worker_backend_up", frozenset(["queue"])] == 1
    assert samples["worker_ready", frozenset()] == 1
    assert samples["worker_running_jobs", frozenset(["act"])] == 0
    assert samples["worker_slots", frozenset()] == 4
    assert samples["process_open_fds", frozenset()] > 0


def test_o3_a_queue_that_is_away_gives_no_stale_figure(worker: Worker) -> None:
    assert ("worker_queue_messages", frozenset(["low", "ready"])) in worker.samples()
    worker.away = True
    worker.clock.advance(6)
    samples = worker.samples()
    assert samples["worker_queue_up", frozenset()] == 0
    assert [name for name, _ in samples if name.startswith("worker_queue_") and name != "worker_queue_up"] == []


def test_c6_the_four_figures_of_the_seed_as_json(worker: Worker) -> None:
    worker.clock.advance(100)
    empty = json.loads(worker.get("/metrics.json")[2])
    assert (empty["worker.failure_rate"], empty["worker.avg_duration_ms"]) == (None, None)
    for outcome, times in (("succeeded", 3), ("dead", 1)):
        worker.tally.add(JOBS, "act", outcome, amount=times)
        worker.tally.observe(DURATION, "act", value=0.5, times=times)
    status, kind, text = worker.get("/metrics.json")
    assert (status, kind) == (200, "application/json")
    assert json.loads(text) == {
        "worker.queue_size": 5,
        "worker.processing_rate": 0.04,
        "worker.failure_rate": 0.25,
        "worker.avg_duration_ms": 500.0,
        "over_seconds": 100.0,
    }
    worker.away = True
    worker.clock.advance(6)
    assert json.loads(worker.get("/metrics.json")[2])["worker.queue_size"] is None


def test_a_page_that_breaks_says_no_more_than_that(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> tuple[str, bytes]:
        raise ValueError("postgresql://me:secret@host/db")

    worker.server.pages = {"/broken": broken}
    status, _, text = worker.get("/broken")
    assert (status, "secret" in text) == (500, False)
    assert "page.broken" in caplog.text
    assert worker.get("/healthz/live")[0] == 200


# ---------------------------------------------------------------------- the catalogue
def test_names_help_units_and_labels_are_as_prometheus_wants_them() -> None:
    for metric in CATALOGUE:
        assert re.fullmatch(r"worker_[a-z_]+", metric.name), metric.name
        assert not metric.name.endswith(("_total", "_count", "_sum", "_bucket")), "suffixes are the exposition's"
        assert metric.help.endswith(".") and len(metric.help) > 20, metric.name
        assert set(metric.labels) <= LABELS, metric.name
        assert (metric.kind is Kind.HISTOGRAM) == bool(metric.buckets)
        assert list(metric.buckets) == sorted(metric.buckets)
        timed = any(word in metric.name for word in ("duration", "oldest"))
        assert timed == metric.name.endswith(UNITS), metric.name
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)


def test_every_metric_comes_out_with_its_type_and_help() -> None:
    tally, readings = Tally(FrozenClock()), []
    for metric in CATALOGUE:
        labels = [f'{name}-"\\\n' for name in metric.labels]
        if metric.kind is Kind.COUNTER:
            tally.add(metric, *labels)
        elif metric.kind is Kind.HISTOGRAM:
            tally.observe(metric, *labels, value=1.0)
        else:
            readings.append(Reading(metric, labels, 1.0))
    text = exposition(tally.counters(), tally.histograms(), readings).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for metric in CATALOGUE:
        found = families[metric.name]
        assert (found.type, found.documentation) == (metric.kind.value, metric.help)
        assert all(set(metric.labels) <= set(sample.labels) for sample in found.samples)
    assert {name for name in families if not name.startswith("process_")} == {metric.name for metric in CATALOGUE}


def test_the_page_lists_exactly_what_there_is() -> None:
    rows = re.findall(r"^\| `(worker_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", PAGE.read_text(), re.MULTILINE)
    exposed = [
        (
            metric.name + ("_total" if metric.kind is Kind.COUNTER else ""),
            metric.kind.value,
            ", ".join(f"`{label}`" for label in metric.labels) or "-",
            metric.help,
        )
        for metric in CATALOGUE
    ]
    assert rows == exposed


def test_every_name_in_the_page_s_rules_exists() -> None:
    names = {metric.name for metric in CATALOGUE}
    names |= {f"{metric.name}_total" for metric in CATALOGUE if metric.kind is Kind.COUNTER}
    names |= {
        f"{metric.name}_{end}"
        for metric in CATALOGUE
        if metric.kind is Kind.HISTOGRAM
        for end in ("sum", "count", "bucket")
    }
    assert set(re.findall(r"worker_[a-z_]+", PAGE.read_text())) <= names
