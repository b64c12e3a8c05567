"""`python -m src.interfaces.workers.recovery.main`: the recovery jobs, each at its interval, until SIGTERM."""

from __future__ import annotations

import sys

from src.interfaces.workers.runner import main

if __name__ == "__main__":
    sys.exit(main("recovery", sys.argv[1:]))
