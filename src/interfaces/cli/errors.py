"""Errors as people and scripts read them, and the exit code of each (mission.md O1)."""

from __future__ import annotations

import json
import sys

from src.domain.errors import (
    ConfigError,
    Conflict,
    JobError,
    NotFound,
    Retryable,
    SourceMissing,
    WorkerError,
)

OK, UNEXPECTED, USAGE, NOT_FOUND, CONFIG, JOB_FAILED, WAIT_TIMED_OUT, UNREACHABLE = range(8)
"""Exit codes. INTERRUPTED is what shells use for SIGINT."""

INTERRUPTED = 130


def exit_code(error: BaseException) -> int:
    """What a failed command exits with."""
    if isinstance(error, (NotFound, SourceMissing)):
        return NOT_FOUND
    if isinstance(error, ConfigError):
        return CONFIG
    if isinstance(error, Retryable):
        return UNREACHABLE
    if isinstance(error, (Conflict, JobError)):
        # The command was understood and can't be done to this thing: the caller has to ask for something else.
        return USAGE
    return UNEXPECTED


def show_note(error: WorkerError) -> None:
    """What a list that is empty for a reason has to say; it is an answer all the same."""
    from src.infrastructure.observability.redaction import one_line, redacted

    print(f"mediaworker: {one_line(redacted(error.message))}", file=sys.stderr)
    if error.fix:
        print(f"  fix: {one_line(redacted(error.fix))}", file=sys.stderr)


def show_error_json(name: str, message: str, fix: str | None, code: int) -> int:
    """The document of an error on stderr, so that stdout holds results alone; returns the exit code."""
    document = {"error": {"class": name, "message": message, "why": WHY.get(code), "fix": fix, "exit_code": code}}
    print(json.dumps(document), file=sys.stderr)
    return code


WHY = {
    CONFIG: "settings or the machine are not as needed",
    UNREACHABLE: "a backend did not answer as it should",
    UNEXPECTED: "a fault of this program",
}
"""{exit code: what lies behind it}. What can't be done as asked, or does not exist, says so in its own words."""


def show_error(error: BaseException, *, as_json: bool) -> int:
    """Print to stderr, secrets hidden; returns the exit code."""
    from src.infrastructure.observability.redaction import one_line, redacted

    code = exit_code(error)
    message = redacted(error.message if isinstance(error, WorkerError) else f"{type(error).__name__}: {error}")
    name = error.code if isinstance(error, WorkerError) else "unexpected"
    fix = redacted(error.fix) if isinstance(error, WorkerError) and error.fix else None
    if as_json:
        return show_error_json(name, message, fix, code)
    # File names and messages come from outside: no terminal may obey them.
    message, fix = one_line(message), fix and one_line(fix)
    print(f"mediaworker: {message}", file=sys.stderr)
    if why := WHY.get(code):
        print(f"  why: {why} ({name})", file=sys.stderr)
    if fix:
        print(f"  fix: {fix}", file=sys.stderr)
    return code
