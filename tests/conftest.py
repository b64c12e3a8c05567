"""For all tests."""

from __future__ import annotations

import gc

import pytest
from hypothesis import HealthCheck, settings

from tests.memory_files import own_folder

# No test is judged by the clock: how fast examples are made depends on what else the machine does.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Before pytest chooses its own folder.
own_folder()

# What is loaded to find the tests stays to the end. To look through it for garbage, again and again as it grows, is a third of
# the work of finding them.
gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """From here on there is garbage, and the collector need not look at the tests themselves."""
    gc.freeze()
    gc.enable()
