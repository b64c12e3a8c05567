"""One prober for all tests that don't look at its process, as a worker has one for all its sources."""

from __future__ import annotations

from functools import cache

from src.infrastructure.ffmpeg.prober import PyAvProber


@cache
def shared_prober() -> PyAvProber:
    """With the default limits. Every source gets a process of its own all the same; what those are forked from, and 0.2 s of CPU
    to load, is there once."""
    return PyAvProber()
