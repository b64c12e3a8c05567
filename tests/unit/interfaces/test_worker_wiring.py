"""What the wiring tells the engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from src.application.catalog import Catalog
from src.domain.errors import ConfigError, FileAccessError
from src.infrastructure.memory.scratch import MemoryScratch
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.worker import build_worker, engine_options, make_executor, space_left


@dataclass
class LostScratch(MemoryScratch):
    """Its disk is gone."""

    def free_bytes(self) -> int:
        raise FileAccessError("no such disk")


def test_no_job_is_taken_while_scratch_has_less_than_the_reserve(tmp_path: Path) -> None:
    scratch = MemoryScratch(tmp_path, space=99)
    enough = space_left(scratch, 100)
    assert not enough()
    scratch.space = 100
    assert enough()


def test_no_job_is_taken_while_scratch_can_not_be_asked(tmp_path: Path) -> None:
    assert not space_left(LostScratch(tmp_path), 0)()


def test_the_worker_asks_for_the_reserve_of_the_settings(tmp_path: Path) -> None:
    for reserve, takes in (("0", True), (str(1 << 60), False)):
        settings = load({"WORKER_DATA_DIR": str(tmp_path), "WORKER_SCRATCH_RESERVE_BYTES": reserve})
        catalog = build_catalog(settings)
        adapters = build(settings, catalog)
        worker = build_worker(settings, adapters, catalog, make_executor(adapters, catalog))
        try:
            assert worker.can_take() is takes
        finally:
            worker.executor.close()


def test_what_asks_several_backends_in_one_turn_tells_that_it_goes_on(tmp_path: Path) -> None:
    settings = load({"WORKER_DATA_DIR": str(tmp_path)})
    catalog = build_catalog(settings)
    adapters = build(settings, catalog)
    worker = build_worker(settings, adapters, catalog, make_executor(adapters, catalog))
    try:
        assert worker.waker is not None
        assert {part.goes_on for part in (worker.keeper, worker.waker, worker.intake)} == {worker.health.goes_on}
    finally:
        worker.executor.close()


SQS = {"WORKER_QUEUE__BACKEND": "sqs", "WORKER_QUEUE__URL": "http://127.0.0.1:1/000000000000/video"}


def test_v1_the_consumer_of_sqs_can_not_publish_and_knows_no_database(tmp_path: Path) -> None:
    settings = load({"WORKER_DATA_DIR": str(tmp_path), **SQS})
    adapters = build(settings, build_catalog(settings))
    consumer, publisher, inspector = adapters.queue_consumer(), adapters.queue_publisher(), adapters.queue_inspector()
    for side in (consumer, consumer.inner):
        assert not hasattr(side, "publish")
    for side in (publisher, publisher.inner):
        assert not hasattr(side, "receive")
    assert not hasattr(inspector, "receive")
    assert (consumer, publisher) == (adapters.queue_consumer(), adapters.queue_publisher())


def test_a_queue_that_is_one_object_has_all_roles(tmp_path: Path) -> None:
    settings = load({"WORKER_DATA_DIR": str(tmp_path), "WORKER_QUEUE__BACKEND": "memory"})
    adapters = build(settings, build_catalog(settings))
    assert adapters.queue_consumer() is adapters.queue_publisher() is adapters.queue_inspector() is adapters.queue()


def test_f30_the_engine_lets_go_of_an_sqs_message_before_twelve_hours() -> None:
    assert engine_options(load(SQS)).message_hold_limit_seconds == 11.5 * 3600
    assert engine_options(load({})).message_hold_limit_seconds is None


def test_a_poll_of_sqs_is_short_enough_for_sigterm() -> None:
    assert engine_options(load(SQS)).receive_wait_seconds == 1


@pytest.mark.parametrize(("lease", "seconds"), [("60", 5), ("30", 5), ("12", 2), ("1", 1)])
def test_a_silent_queue_does_not_outlast_a_lease(lease: str, seconds: float) -> None:
    """The keeper asks the queue between two heartbeats of the ledger."""
    settings = load({**SQS, "WORKER_LEASE__TTL_SECONDS": lease})
    consumer = build(settings, build_catalog(settings)).queue_consumer()
    assert consumer.inner.connection.answer_seconds == seconds


def test_the_embedded_queue_beside_a_server_is_asked_for_by_name(tmp_path: Path) -> None:
    server = {"WORKER_DATA_DIR": str(tmp_path), "WORKER_DATABASE__URL": "postgresql://nobody@127.0.0.1:1/none"}
    with pytest.raises(ConfigError, match="needs an embedded database") as refused:
        build(load(server), Catalog(()))
    assert "WORKER_QUEUE__URL=sqlite:" in str(refused.value.fix)
    own = load({**server, "WORKER_QUEUE__URL": f"sqlite:///{tmp_path}/queue.db"})
    assert build(own, Catalog(())).queue().database.file == tmp_path / "queue.db"
