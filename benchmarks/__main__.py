"""`make bench`: every benchmark, one after the other; `python -m benchmarks NAME ...` for some of them."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import content, ledger, pipeline, probing, queues, replay, search, start, storage

PARTS: dict[str, Callable[[], object]] = {
    "start": start.main,
    "ledger": ledger.main,
    "storage": storage.main,
    "probing": probing.main,
    "replay": replay.main,
    "pipeline": pipeline.main,
    "queues": queues.main,
    "content": content.main,
    "search": search.main,
}


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
