"""`python -m src.interfaces.workers.batch.main JOB_ID`, or the id in VIDEO_JOB_ID: does that one job and ends."""

from __future__ import annotations

import sys

from src.interfaces.workers.batch.container import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
