"""What a message costs whose job is done, on every queue: the whole worker beside a bare receive and acknowledge."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.measure import ratio, rounds
from tests.functional.copies import (
    SMALL_VIDEOS,
    act_body,
    check_once,
    copied,
    make_tiny_clip,
    publish_plain,
    replay,
    video_bodies,
)
from tests.functional.everywhere import DEPLOYMENTS, fleet_on
from tests.functional.fleet import Fleet

VIDEOS, ACTS, COPIES = 2, 8, 40
VISIBLE_AFTER_SECONDS = 60.0


def bare(fleet: Fleet, queue: str, messages: list[bytes]) -> float:
    """Milliseconds a message: one received, one acknowledged, nothing else."""
    publish_plain(fleet, queue, messages)
    consumer = fleet.adapters.queue_consumer()
    began, left = time.perf_counter(), len(messages)
    while left:
        taken = consumer.receive(1, wait_seconds=1, visibility_seconds=VISIBLE_AFTER_SECONDS)
        consumer.ack(taken)
        left -= len(taken)
    return 1000 * (time.perf_counter() - began) / len(messages)


def on(queue: str, count: int, folder: Path) -> dict[str, object]:
    """The figures of one queue."""
    with fleet_on(queue, folder / "data", **SMALL_VIDEOS) as fleet:
        bodies = video_bodies(fleet, make_tiny_clip(folder / "tiny.mp4"), VIDEOS)
        bodies += [act_body(fleet, f"job-a{number}") for number in range(ACTS)]
        publish_plain(fleet, queue, bodies)
        if fleet.drain() != 0:
            raise RuntimeError(f"the worker failed:\n{fleet.log()}")
        check_once(fleet, len(bodies), VIDEOS)
        messages = copied(bodies, COPIES)
        worker, alone = rounds(
            count,
            lambda: replay(fleet, queue, messages).milliseconds_each,
            lambda: bare(fleet, queue, messages),
        )
        check_once(fleet, len(bodies), VIDEOS)
    return {
        "messages": len(messages),
        "replay_over_bare_receive_and_ack": _shown(ratio(worker, alone)),
        "replay_milliseconds_each": _shown((min(worker), statistics.median(worker), max(worker))),
        "bare_milliseconds_each": _shown((min(alone), statistics.median(alone), max(alone))),
    }


def main(count: int = 3) -> dict[str, object]:
    """Measure and print; the figures as JSON."""
    figures: dict[str, object] = {}
    for queue in DEPLOYMENTS:
        with tempfile.TemporaryDirectory(prefix="mediaworker-bench-") as name:
            figures[queue] = on(queue, count, Path(name))
    print(json.dumps(figures, indent=2))
    return figures


def _shown(values: tuple[float, float, float]) -> dict[str, float]:
    low, middle, high = values
    return {"min": round(low, 2), "median": round(middle, 2), "max": round(high, 2)}


if __name__ == "__main__":
    main(int(os.environ.get("BENCH_ROUNDS", "3")))
