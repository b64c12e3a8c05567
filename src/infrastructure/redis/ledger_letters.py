"""Between dead letters in Redis (a hash of head, body and when somebody was told) and the port's dataclass."""

from __future__ import annotations

import json
from typing import Any

from src.application.ports.ledger import DeadLetter
from src.domain.errors import ErrorReport
from src.infrastructure.redis.ledger_rows import encode


def head_of(letter: DeadLetter) -> str:
    """Everything but the body, and when somebody was told."""
    return encode(
        {
            "job_id": letter.job_id,
            "type": letter.type,
            "tenant": letter.tenant,
            "queue": letter.queue,
            "error": letter.error.to_json(),
            "attempts": letter.attempts,
            "created_at": letter.created_at,
            "attributes": dict(letter.attributes),
        }
    )


def to_letter(letter_id: str, head: bytes, told: bytes, body: bytes) -> DeadLetter:
    """A letter of its parts."""
    known: dict[str, Any] = json.loads(head)
    return DeadLetter(
        **{**known, "error": ErrorReport.from_json(known["error"])},
        id=letter_id,
        body=body,
        notified_at=float(told) if told else None,
    )
