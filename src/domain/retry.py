"""How often and how fast an error class is tried again: one table, one decision."""

from __future__ import annotations

from dataclasses import dataclass

from src.domain.errors import ErrorReport


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`retries` attempts after the first; the n-th waits base * factor^(n-1) seconds, at most `cap`.

    `jitter` is the share of the delay that is random: 0 waits exactly, 1 is "full jitter" (uniform from 0).
    """

    retries: int
    base_seconds: float
    factor: float = 1.0
    cap_seconds: float = 3600.0
    jitter: float = 0.0

    def delay_seconds(self, retry: int, dice: float) -> float:
        """Seconds before the `retry`-th retry (1 is the first); `dice` is a random number in [0, 1)."""
        whole = min(self.cap_seconds, self.base_seconds * self.factor ** (retry - 1))
        return whole * (1 - self.jitter) + whole * self.jitter * dice


POLICIES: dict[str, RetryPolicy] = {
    # Sources: mission.md E6 (file access, ffmpeg, network, ingestion, ocr, video); reliability.md F23, F27 for the last rows.
    "none": RetryPolicy(0, 0),
    "file_access": RetryPolicy(3, 60, factor=2),
    "ffmpeg": RetryPolicy(2, 60),
    "network": RetryPolicy(5, 2, factor=4, cap_seconds=600, jitter=0.5),
    "ingestion": RetryPolicy(5, 30, factor=4, cap_seconds=3600, jitter=0.2),
    "ocr": RetryPolicy(2, 10, factor=3, jitter=0.2),
    "default": RetryPolicy(4, 10, factor=3, cap_seconds=600, jitter=0.2),
    "stalled": RetryPolicy(2, 60),
    "resource": RetryPolicy(1, 60),
    # An event before the commit that it tells of: 2, 8, 32 and 128 s (application/content/late.py ends it).
    "late_commit": RetryPolicy(5, 2, factor=4, cap_seconds=600),
    "crash": RetryPolicy(2, 5, factor=4),
    "worker_lost": RetryPolicy(4, 0),
}


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again at this time (database clock, epoch seconds)."""

    at: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt. `permanent` says that the input is to blame, not bad luck."""

    permanent: bool


def decide(
    error: ErrorReport,
    *,
    same_before: int,
    attempts: int,
    max_attempts: int,
    now: float,
    dice: float,
    scale: float = 1.0,
) -> RetryAt | GiveUp:
    """What follows a failed attempt.

    `same_before` counts earlier attempts of this generation that ended with the same policy; `attempts` counts all
    attempts so far, this one included. `scale` stretches every delay (a setting, 1 by default).
    """
    if not error.retryable:
        return GiveUp(permanent=True)
    policy = POLICIES[error.policy]
    if attempts >= max_attempts or same_before >= policy.retries:
        return GiveUp(permanent=False)
    return RetryAt(now + scale * policy.delay_seconds(same_before + 1, dice))
