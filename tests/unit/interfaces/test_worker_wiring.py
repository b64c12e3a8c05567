"""What the wiring tells the engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from src.domain.errors import FileAccessError
from src.infrastructure.memory.scratch import MemoryScratch
from src.interfaces.wiring.adapters import build
from src.interfaces.wiring.assemble import build_catalog
from src.interfaces.wiring.environment import load
from src.interfaces.wiring.worker import build_worker, space_left


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
        worker = build_worker(settings, build(settings, catalog), catalog)
        try:
            assert worker.can_take() is takes
        finally:
            worker.executor.close()
