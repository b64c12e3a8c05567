"""Sign-in sessions of the platform, as far as the clean-up goes."""

from __future__ import annotations

from typing import Protocol


class Sessions(Protocol):
    """Raises DatabaseUnavailable or ContentUnavailable, which may pass; ContentRefused, which won't."""

    def cleanup_expired_sessions(self) -> int:
        """Delete those whose `expires_at` is past; how many. Sessions that end while it runs may stay for the next time."""
