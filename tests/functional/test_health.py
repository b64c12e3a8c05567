"""The health port of a real worker."""

from __future__ import annotations

import socket
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from src import __version__
from src.domain.job import JobState
from tests.functional.fleet import Fleet, wait_for
from tests.functional.outage import Readiness
from tests.servers.process import answers, free_ports

ENDED = {"good": JobState.SUCCEEDED, "bad": JobState.FAILED}


def numbers(port: int) -> dict[tuple[str, frozenset[str]], float]:
    """A scrape: {(name, values of the labels): value}."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_o3_a_worker_says_when_it_is_ready_and_goes_with_its_port(fleet: Fleet) -> None:
    (port,) = free_ports()
    worker = fleet.start(WORKER_HEALTH__PORT=str(port))
    wait_for(lambda: Readiness.ask(port), 60, "the worker is ready")
    fleet.submit("good", "noop")
    fleet.submit("bad", "refuse")
    wait_for(lambda: fleet.states() == ENDED, 60, "both jobs have ended")
    wait_for(lambda: numbers(port)["worker_running_jobs", frozenset(["act"])] == 0, 60, "both are settled")
    found = numbers(port)
    assert found["worker_jobs_total", frozenset(["act", "succeeded"])] == 1
    assert found["worker_jobs_total", frozenset(["act", "failed"])] == 1
    assert found["worker_dead_letters_total", frozenset(["act", "unsupported_format"])] == 1
    assert found["worker_queue_up", frozenset()] == 1
    assert found["worker_backend_up", frozenset(["database"])] == 1
    worker.terminate()
    assert worker.wait(60) == 0
    assert not answers(port)


@pytest.mark.parametrize("name", ["recovery", "scheduler"])
def test_o3_a_process_without_a_queue_has_numbers_too(fleet: Fleet, name: str) -> None:
    (port,) = free_ports()
    assert fleet.cli("db", "upgrade").returncode == 0
    process = fleet.run(f"src.interfaces.workers.{name}.main", WORKER_HEALTH__PORT=str(port))
    wait_for(lambda: Readiness.ask(port), 60, "it is ready")
    found = numbers(port)
    assert found["worker_info", frozenset([name, __version__])] == 1
    assert found["worker_ready", frozenset()] == 1
    assert not any(metric.startswith("worker_queue") for metric, _ in found)
    process.terminate()
    assert process.wait(60) == 0


def test_e13_a_health_port_that_is_taken_stops_the_start(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert fleet.drain(WORKER_HEALTH__PORT=str(taken.getsockname()[1])) == 4
    assert "WORKER_HEALTH__PORT" in fleet.log()
