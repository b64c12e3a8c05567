"""What an adapter can say of its backend before the first job relies on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Checkable(Protocol):
    """An adapter that tries its backend at start-up: reachable, permitted, there."""

    def check(self) -> Sequence[str]:
        """Short facts for people. Raises ConfigError for what waiting does not mend (wrong name, wrong password, missing
        permission), and the port's own error when the backend is away."""
