"""`python -m src.interfaces.workers.scheduler.main`: fires cron's entries until SIGTERM."""

from __future__ import annotations

import sys

from src.interfaces.workers.runner import main

if __name__ == "__main__":
    sys.exit(main("scheduler", sys.argv[1:]))
