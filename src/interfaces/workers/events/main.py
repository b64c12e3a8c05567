"""`python -m src.interfaces.workers.events.main`: turns events of other systems into jobs until SIGTERM."""

from __future__ import annotations

import sys

from src.interfaces.workers.runner import main

if __name__ == "__main__":
    sys.exit(main("events", sys.argv[1:]))
