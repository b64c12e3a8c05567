"""The worker that a demo runs beside itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from src.domain.errors import FileAccessError
from src.interfaces.wiring.settings import Settings

LOG_NAME = "demo-worker.log"

STOP_SECONDS = 40.0
"""The worker's grace time and a little."""


def log_of(settings: Settings) -> Path:
    """Where its log goes. Raises FileAccessError when that can't be written."""
    log = settings.data_dir.absolute() / LOG_NAME
    try:
        log.open("ab").close()
    except OSError as error:
        raise FileAccessError(f"{log} can't be written: {error.strerror}") from error
    return log


def environment() -> dict[str, str]:
    """Our own variables, and the way to our own package, wherever the demo was typed."""
    home = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH", "")) if part)
    return {**os.environ, "PYTHONPATH": path, "WORKER_LOG__FORMAT": "json"}


def end(worker: subprocess.Popen[bytes]) -> None:
    """Now, if it still runs: first politely."""
    if worker.poll() is not None:
        return
    worker.terminate()
    try:
        worker.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
