"""Five scheduler processes, an entry that is due every second, and processes that die."""

from __future__ import annotations

import random
import signal
from datetime import datetime
from functools import partial

from src.application.ports.ledger import JobFilter
from src.domain.job import Job
from tests.functional.fleet import Fleet, Process, wait_for

CROWD = 5
NAME = "every-second"
LINE = f'* * * * * * act ?id={NAME}&missed=all {{action: "noop"}}\n'


def crontab(fleet: Fleet) -> dict[str, str]:
    """Settings with the entry."""
    fleet.folder.mkdir(parents=True, exist_ok=True)
    path = fleet.folder / "crontab"
    path.write_text(LINE)
    # The built-in ones are another test's matter.
    off = {
        f"WORKER_CRON__{name}": "off"
        for name in ("CACHE_CLEANUP", "SESSION_CLEANUP", "FULL_REINDEX", "DAILY_STATISTICS")
    }
    return {"WORKER_CRON__FILE": str(path), **off}


def jobs(fleet: Fleet) -> list[Job]:
    """What fired."""
    found: list[Job] = list(fleet.adapters.ledger().list(JobFilter(type="act", limit=100_000)))
    return found


def fired(fleet: Fleet, count: int) -> bool:
    """Whether so many moments have fired."""
    return len(jobs(fleet)) >= count


def begun(fleet: Fleet, number: int) -> bool:
    """Whether the process's handlers of signals are in place."""
    return "scheduler.starting" in fleet.log(number)


def crowd(fleet: Fleet, *, ticks: int, deaths: int, seed: int) -> None:
    """One that dies between a commit and its message; then five, of which some are killed and started again. Returns when so
    many moments have fired and all processes have ended as they should."""
    dice, settings = random.Random(seed), crontab(fleet)
    unlucky = fleet.scheduler(**settings, MEDIAWORKER_FAILPOINTS="cron.admitted=kill")
    assert unlucky.wait(60) == -signal.SIGKILL, fleet.log()
    assert len(jobs(fleet)) == 1
    running = [fleet.scheduler(**settings) for _ in range(CROWD)]
    for death in range(1, deaths + 1):
        wait_for(partial(fired, fleet, ticks * death // (deaths + 1)), 120, "moments that fire")
        number = dice.randrange(CROWD)
        running[number].kill()
        running[number].wait(20)
        running[number] = fleet.scheduler(**settings)
    wait_for(partial(fired, fleet, ticks), 120, "moments that fire")
    for process in running:
        wait_for(partial(begun, fleet, fleet.processes.index(process)), 60, "every scheduler has begun")
    end(running)


def end(running: list[Process]) -> None:
    """They leave when they are told to."""
    for process in running:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(30) for process in running] == [0] * len(running)


def check(fleet: Fleet) -> int:
    """Every second from the first moment to the last has one job (I10); how many."""
    board = fleet.adapters.cron_ticks().board({NAME: "* * * * * * UTC"})
    last = board.entries[NAME].last
    assert last is not None
    seconds = sorted(datetime.fromisoformat(job.payload["_cron"]["ts"]).timestamp() for job in jobs(fleet))
    assert seconds == [float(at) for at in range(int(seconds[0]), int(last.scheduled_at) + 1)]
    return len(seconds)
