"""`python -m src.interfaces.workers.video.main`: the same code path as `mediaworker run video`."""

from __future__ import annotations

import sys

from src.interfaces.workers.runner import main

if __name__ == "__main__":
    sys.exit(main("video", sys.argv[1:]))
