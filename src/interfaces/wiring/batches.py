"""AWS Batch from the settings."""

from __future__ import annotations

from src.application.ports.clock import Clock
from src.domain.errors import ConfigError
from src.infrastructure.aws.batch import AwsBatch
from src.interfaces.wiring.environment import variable
from src.interfaces.wiring.settings import Settings


def make_batch(settings: Settings, clock: Clock) -> AwsBatch:
    """Connects to nothing yet. Raises ConfigError when the settings name no job queue."""
    if settings.batch.queue is None or settings.batch.definition is None:
        raise ConfigError(
            "AWS Batch is not configured", fix=f"set {variable('batch.queue')} and {variable('batch.definition')}"
        )
    return AwsBatch(
        queue=settings.batch.queue,
        definition=settings.batch.definition,
        clock=clock,
        endpoint_url=settings.aws.endpoint_url,
        region=settings.aws.region,
    )
