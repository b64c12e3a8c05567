"""What a start-up check asks of an adapter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Checkable(Protocol):
    """An adapter that can be tried before the first receive."""

    def check(self) -> Sequence[str]:
        """Facts for people, one that begins with "warning:" for what works but should be changed. Changes nothing. Raises
        ConfigError for what waiting can't mend (does not exist, not permitted, wrong credentials), else the port's own error
        (unreachable)."""
