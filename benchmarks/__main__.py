"""`make bench`: every benchmark, one after the other; `python -m benchmarks NAME ...` for some of them."""

from __future__ import annotations

import sys

from benchmarks import pipeline, probing, start, storage

PARTS = {"start": start.main, "probing": probing.main, "pipeline": pipeline.main, "storage": storage.main}


def main() -> None:
    """Run what was asked for."""
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(PARTS)}")
    for name in wanted:
        print(f"== {name}", flush=True)
        PARTS[name]()


main()
