"""Arms failpoints from the environment, in tests only.

MEDIAWORKER_FAILPOINTS is a comma-separated list of `name=action[:argument][@n]`: at the n-th time (default 1) the named
point is reached in a process, do the action. It is ignored, with a warning, unless the settings say environment=test.

    kill          SIGKILL this process's worker: the supervisor, and this process with it
    exit          SIGKILL this process alone (in an executor: the job's process crashes)
    stop          SIGSTOP this process
    sleep:SECONDS wait here
    raise         raise UnexpectedError
"""

from __future__ import annotations

import logging
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Mapping

from src.application import failpoints
from src.domain.errors import ConfigError, UnexpectedError

log = logging.getLogger(__name__)

VARIABLE = "MEDIAWORKER_FAILPOINTS"
RULE = re.compile(
    r"(?P<name>[a-z_.]+)=(?P<action>kill|exit|stop|sleep|raise)(?::(?P<argument>[0-9.]+))?(?:@(?P<nth>\d+))?"
)


def arm_from(environ: Mapping[str, str], environment: str, *, supervisor: int) -> bool:
    """Install the hook if there is one to install and this is a test; whether it was."""
    text = environ.get(VARIABLE, "")
    if not text:
        return False
    if environment != "test":
        log.warning("failpoints.ignored", extra={"environment": environment})
        return False
    rules: dict[str, tuple[str, float, int]] = {}
    for part in text.split(","):
        match = RULE.fullmatch(part.strip())
        if match is None or match["name"] not in failpoints.NAMES:
            raise ConfigError(
                f"{VARIABLE}: {part!r} is not a failpoint rule", fix=f"names: {', '.join(failpoints.NAMES)}"
            )
        rules[match["name"]] = (match["action"], float(match["argument"] or 0), int(match["nth"] or 1))
    reached: Counter[str] = Counter()

    def hook(name: str) -> None:
        if name not in rules:
            return
        reached[name] += 1
        action, argument, nth = rules[name]
        if reached[name] == nth:
            _act(action, argument, supervisor)

    failpoints.arm(hook)
    return True


def _act(action: str, argument: float, supervisor: int) -> None:
    if action == "kill":
        os.kill(supervisor, signal.SIGKILL)
        # In an executor the kernel's parent-death signal is on its way; nothing may run until it arrives.
        time.sleep(60)
    elif action == "exit":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "sleep":
        time.sleep(argument)
    else:
        raise UnexpectedError("a failpoint raised this")
