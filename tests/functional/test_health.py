"""The health port of a real worker."""

from __future__ import annotations

import socket

from tests.functional.fleet import Fleet, wait_for
from tests.functional.outage import Readiness
from tests.servers.process import answers, free_ports


def test_o3_a_worker_says_when_it_is_ready_and_goes_with_its_port(fleet: Fleet) -> None:
    (port,) = free_ports()
    worker = fleet.start(WORKER_HEALTH__PORT=str(port))
    wait_for(lambda: Readiness.ask(port), 60, "the worker is ready")
    worker.terminate()
    assert worker.wait(60) == 0
    assert not answers(port)


def test_e13_a_health_port_that_is_taken_stops_the_start(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert fleet.drain(WORKER_HEALTH__PORT=str(taken.getsockname()[1])) == 4
    assert "WORKER_HEALTH__PORT" in fleet.log()
