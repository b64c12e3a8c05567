"""A fleet on every queue: what holds on the embedded default must hold on each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.functional.fleet import Fleet
from tests.functional.places import AWS_KEYS, place

DEPLOYMENTS = {
    "sqlite": {"database": "sqlite", "lock": "database"},
    "redis": {"database": "postgres", "lock": "redis"},
    "postgres": {"database": "postgres", "lock": "database"},
    "sqs": {"database": "postgres", "lock": "database"},
}
"""{queue: what stands beside it}. Servers go with servers; the embedded queue with the embedded database."""

on_every_queue = pytest.mark.parametrize("queue", list(DEPLOYMENTS))


def often_on(*often: str) -> pytest.MarkDecorator:
    """On every queue; with `make test` only on these, because the minutes of a run are dear, with `make chaos` on the others."""
    choices = [name if name in often else pytest.param(name, marks=pytest.mark.chaos) for name in DEPLOYMENTS]
    return pytest.mark.parametrize("queue", choices)


@contextmanager
def fleet_on(queue: str, folder: Path, **settings: str) -> Iterator[Fleet]:
    """Workers on that queue; `settings` are further environment variables. Nothing of them is left afterwards."""
    beside = DEPLOYMENTS[queue]
    with (
        pytest.MonkeyPatch.context() as patch,
        place(queue=queue, database=beside["database"], lock=beside["lock"]) as found,
    ):
        if queue == "sqs":
            for name, value in AWS_KEYS.items():
                # This process publishes and looks as well, with credentials from AWS's own chain.
                patch.setenv(name, value)
        fleet = Fleet(folder, {**found.environ, **settings})
        try:
            yield fleet
        finally:
            fleet.close()
