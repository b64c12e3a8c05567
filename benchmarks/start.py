"""Cold start of the video worker to its first receive, and its memory when idle."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def once(folder: Path) -> tuple[float, float, float]:
    """(seconds from process start to the first receive, resident MiB and proportional MiB five seconds later)"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKER_")}
    environment = {**clean, "WORKER_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT), "WORKER_LOG__FORMAT": "json"}
    command = [sys.executable, "-m", "src.interfaces.workers.video.main"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            event = json.loads(line) if line.startswith(b"{") else {}
            if event.get("event") == "worker.receiving":
                break
        else:
            raise RuntimeError("the worker ended before it received")
        time.sleep(5)
        memory = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        kib = {line.split(":")[0]: int(line.split()[1]) for line in memory[1:]}
        return float(event["seconds_since_start"]), kib["Rss"] / 1024, kib["Pss"] / 1024
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def main(count: int = 5) -> dict[str, object]:
    """Measure and print; the first start also makes the database and is not counted."""
    with tempfile.TemporaryDirectory(prefix="mediaworker-bench-") as name:
        once(Path(name))
        runs = [once(Path(name)) for _ in range(count)]
    figures: dict[str, object] = {
        "cold_start_seconds": {
            "min": min(run[0] for run in runs),
            "median": statistics.median(run[0] for run in runs),
            "max": max(run[0] for run in runs),
        },
        "idle_rss_mib": round(statistics.median(run[1] for run in runs), 1),
        "idle_pss_mib": round(statistics.median(run[2] for run in runs), 1),
    }
    print(json.dumps(figures, indent=2))
    return figures


if __name__ == "__main__":
    main()
