"""What the code below a command logs as a warning, in words for whoever typed it. Workers have logs of their own."""

from __future__ import annotations

import logging
import os
import sys


class Words(logging.Handler):
    """A line on stderr with its fields, secrets hidden. Standing in for Python's last resort, which prints the bare event, it is
    silent wherever logs are configured."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        # Imported with the first line, which most commands never have.
        from src.infrastructure.observability.logs import Censor, Lines, secret_values

        print(Lines(Censor(secret_values(os.environ)), as_json=False).line(record), file=sys.stderr)


def speak() -> None:
    """From here on for this process."""
    logging.lastResort = Words(logging.WARNING)
