"""Moments in messages, as producers send them."""

from __future__ import annotations

from datetime import UTC, datetime

from src.domain.errors import InvalidMessage


def moment(value: object, name: str) -> float:
    """Epoch seconds of an ISO-8601 text (UTC where it names no zone) or of a number of seconds. Raises InvalidMessage, also for
    milliseconds: as seconds they are after the year 9999."""
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise _refused(value, name) from error
    raise _refused(value, name)


def _refused(value: object, name: str) -> InvalidMessage:
    return InvalidMessage(
        f"{name} {str(value)[:40]!r} is neither an ISO-8601 time nor epoch seconds",
        fix='send "2026-01-02T03:04:05Z" or 1767323045, or leave it out',
    )
