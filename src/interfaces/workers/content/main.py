"""`python -m src.interfaces.workers.content.main`: the same code path as `mediaworker run content`."""

from __future__ import annotations

import sys

from src.interfaces.workers.runner import main

if __name__ == "__main__":
    sys.exit(main("content", sys.argv[1:]))
