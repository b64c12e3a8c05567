"""For all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No test is judged by the clock: how fast examples are made depends on what else the machine does.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
