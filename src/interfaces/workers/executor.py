"""Entry point of a handler process: `python -m src.interfaces.workers.executor FD SUPERVISOR_PID MARK_FD`, started by the worker."""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from src.application.outcome import Handler
from src.infrastructure.process.child import Child
from src.infrastructure.process.linux import die_with_parent
from src.infrastructure.process.mark import Mark


def main() -> None:
    """Serve the supervisor that started this process, and die with it."""
    descriptor, supervisor, mark = map(int, sys.argv[1:4])
    # Nothing that is loaded below is garbage: looking for some again and again would be a sixth of this process's start.
    gc.disable()
    die_with_parent(supervisor)
    channel = socket.socket(fileno=descriptor)
    # Imported after the death pact: a supervisor that dies while we import must not leave us behind.
    from src.infrastructure.observability import logs
    from src.interfaces.wiring.adapters import build
    from src.interfaces.wiring.assemble import Assembler, build_catalog
    from src.interfaces.wiring.environment import load
    from src.interfaces.workers.failpoints import arm_from
    from src.interfaces.workers.runner import settle_memory

    # The supervisor has looked at the folders; a drive that hangs must not keep jobs from starting that don't need it.
    settings = load(folders=False)
    lines = logs.configure(settings.log.level, settings.log.format, secrets=logs.secret_values(os.environ))
    lines.keep(json.loads(os.environ.get(logs.KEPT, "{}")))
    arm_from(os.environ, settings.environment, supervisor=supervisor)
    catalog = build_catalog(settings)
    # The supervisor has looked at the queue's settings, or needs none.
    adapters = build(settings, catalog, queue=False)

    assembler = Assembler(adapters)

    def prepare(name: str) -> tuple[Callable[[str, Any], Any], Handler]:
        # A handler lives for one attempt, with media tools of its own: stopping those is final.
        job_type = catalog.get(name)
        return job_type.parse, assembler.make(job_type.handler)

    settle_memory(look=False)
    Child(channel, Mark(mark), adapters.scratch(), prepare, redact=lines.censor.hidden, bind=lines.bind).run()


if __name__ == "__main__":
    main()
