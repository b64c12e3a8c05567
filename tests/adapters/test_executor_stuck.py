"""A process whose run takes long, beside one that goes on."""

from __future__ import annotations

from pathlib import Path

from src.application.ports.executor import Returned, Stopped, Succeeded
from src.infrastructure.process.executor import Recycling
from tests.adapters.test_process_executor import Bench


def test_nothing_more_is_put_behind_a_run_that_takes_long_while_another_process_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "data", Recycling())
    try:
        slow, first = bench.order("sleep", 60.0), bench.order("sleep", 0.01)
        bench.start(slow, first, processes=2)
        assert bench.kinds(first) == [Succeeded]
        # Nobody knows yet that it takes so long.
        found: set[type] = set()
        while Returned not in found:
            some = [bench.order("sleep", 0.05) for _ in range(4)]
            bench.start(*some, processes=2)
            found |= set(bench.kinds(*some))
        for _ in range(3):
            some = [bench.order("sleep", 0.05) for _ in range(4)]
            bench.start(*some, processes=2)
            assert bench.kinds(*some) == [Succeeded] * 4
        assert slow.run_id not in bench.said
        assert len(bench.pids()) == 2
    finally:
        bench.executor.close()


def test_what_has_not_begun_when_a_batch_stalls_is_returned_and_not_blamed(tmp_path: Path) -> None:
    """A job that holds the interpreter lets its process give nothing back: the whole batch is told to stop at one time."""
    bench = Bench(tmp_path / "data", Recycling())
    try:
        slow, *waiting = bench.order("hold_the_interpreter", 60.0), *(bench.order("noop") for _ in range(3))
        bench.start(slow, *waiting)
        bench.until(bench.started)
        for order in (slow, *waiting):
            bench.executor.stop(order.run_id, "stalled")
        assert bench.kinds(slow, *waiting) == [Stopped, *[Returned] * 3]
    finally:
        bench.executor.close()


def test_a_process_is_used_again_when_its_long_run_is_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "data", Recycling())
    try:
        slow, waiting = bench.order("sleep", 2.5), bench.order("noop")
        bench.start(slow, waiting)
        assert bench.kinds(waiting, slow) == [Returned, Succeeded]
        some = [bench.order("sleep", 0.1) for _ in range(4)]
        bench.start(*some[:2], processes=2)
        bench.start(*some[2:], processes=2)
        assert bench.kinds(*some) == [Succeeded] * 4
        assert len(bench.pids()) == 2
    finally:
        bench.executor.close()
