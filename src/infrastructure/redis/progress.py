"""Readings of progress in Redis, one key per job, that other programs may read: `job:{id}:progress` (contracts.md 1.4)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from src.domain.errors import NetworkError
from src.domain.progress import ProgressReport
from src.infrastructure.redis.address import RedisLink

TIMEOUT_SECONDS = 2.0
"""A reading is worth less than the wait for it: the last ones are written while the worker ends."""

RECORD = """
local fence, percent = tonumber(ARGV[1]), tonumber(ARGV[2])
local read, known = pcall(cjson.decode, redis.call('GET', KEYS[1]) or '{}')
if read and type(known) == 'table' and type(known.fence) == 'number' then
  if known.fence > fence then
    return 0
  end
  if known.fence == fence and type(known.percent) == 'number' and known.percent > percent then
    percent = math.min(known.percent, 100)
  end
end
redis.call('SET', KEYS[1], '{"percent":' .. string.format('%.14g', percent) .. ',' .. ARGV[3], 'PX', ARGV[4])
return 1
"""
"""fence, percent, the rest of the document, ttl: never a lower fence, never back within one (reliability.md I8)."""


@dataclass
class RedisProgress:
    """Progress. Thread-safe. A key goes `ttl_seconds` after its last reading."""

    url: str | None = field(repr=False)
    ttl_seconds: float = 86_400.0
    link: RedisLink = field(init=False)

    def __post_init__(self) -> None:
        self.link = RedisLink(self.url, NetworkError, TIMEOUT_SECONDS)

    def record(self, job_id: str, fence: int, report: ProgressReport) -> None:
        """Keep, unless a later attempt has already reported."""
        shown = report.after(None).to_json()
        percent = shown.pop("percent")
        rest = json.dumps({**shown, "fence": fence}, separators=(",", ":"))[1:]
        self.link.run(RECORD, (_key(job_id),), (fence, percent, rest, max(1, int(self.ttl_seconds * 1000))))

    def latest(self, job_id: str) -> ProgressReport | None:
        """The last reading. What somebody else wrote there and can't be read is none."""
        return _report(self.link.ask(lambda client: client.get(_key(job_id))))

    def clear(self, job_id: str) -> None:
        """Forget."""
        self.link.ask(lambda client: client.delete(_key(job_id)))

    def close(self) -> None:
        """Let connections go."""
        self.link.close()

    def check(self) -> Sequence[str]:
        """Writes, reads and forgets a reading of its own."""
        return self.link.tried(self._check)

    def _check(self) -> Sequence[str]:
        job_id = f"selftest-{uuid.uuid4().hex}"
        self.record(job_id, 1, ProgressReport(percent=1.0, step="selftest", step_index=1, step_total=1))
        self.latest(job_id)
        self.clear(job_id)
        return [f"Redis at {self.link.address.shown}"]


def _key(job_id: str) -> str:
    return f"job:{job_id}:progress"


def _report(document: Any) -> ProgressReport | None:
    try:
        return ProgressReport.from_json(json.loads(document)) if document else None
    except (ValueError, KeyError, TypeError, AttributeError):
        # Anybody can write there, and progress decides nothing (reliability.md T24).
        return None
