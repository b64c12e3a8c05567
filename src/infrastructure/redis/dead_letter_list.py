"""The content platform's `worker:dead_letter` (seed 000): a list on which its tools find the jobs that failed for good. The
ledger's letters are the quarantine; this is a copy for readers, who may pop from it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from src.application.ports.ledger import DeadLetter
from src.application.ports.ops_events import OpsEvent
from src.domain.errors import NetworkError
from src.infrastructure.redis.address import RedisLink

LOOKED_BACK = 1000
"""So many of the newest entries are compared: a letter that is told again is not pushed again."""

PUSH = """#!lua flags=allow-oom
if not redis.call('LPOS', KEYS[1], ARGV[1], 'RANK', -1, 'MAXLEN', ARGV[2]) then
  redis.call('RPUSH', KEYS[1], ARGV[1])
end
"""


@dataclass
class RedisDeadLetterList:
    """AdminNotifier that pushes each letter to the list `name`: the job's JSON as the seed has it, with `letter`, `error` and
    `attempts` beside it. A message that was no JSON object is there as text or base64. Thread-safe."""

    url: str | None = field(repr=False)
    name: str = "worker:dead_letter"
    link: RedisLink = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.link = RedisLink(self.url, NetworkError)

    def notify(self, letter: DeadLetter) -> None:
        """Push, if it is not there yet. Raises NetworkError."""
        self.link.run(PUSH, (self.name,), (entry(letter), LOOKED_BACK))

    def notify_event(self, event: OpsEvent) -> None:
        """The list is for letters."""

    def close(self) -> None:
        """Let connections go."""
        self.link.close()


def entry(letter: DeadLetter) -> bytes:
    """What stands in the list: the same bytes for the same letter, and JSON whatever the message was."""
    error = {
        "class": letter.error.code,
        "message": letter.error.message,
        "retryable": letter.error.retryable,
    }
    beside = {"letter": letter.id, "attempts": letter.attempts, "error": error}
    try:
        return _json({**_job(letter.body), **beside})
    except (ValueError, RecursionError):
        # A number that no JSON has (NaN, 1e999), or brackets without end.
        return _json({**_text(letter.body), **beside})


def _json(document: dict[str, Any]) -> bytes:
    """Letters as they are; half of a surrogate pair, which UTF-8 does not carry, makes escapes of them."""
    for escaped in (False, True):
        text = json.dumps(document, ensure_ascii=escaped, allow_nan=False, separators=(",", ":"))
        try:
            return text.encode()
        except UnicodeEncodeError:
            continue
    raise AssertionError("escapes are ASCII")


def _job(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else _text(body)


def _text(body: bytes) -> dict[str, Any]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}
